"""Checking a registry folder, the shipped one or a user's: ``mlsysim zoo check``.

Every file is read, every finding is kept, and no input makes it stop: units and dimensions, ranges,
sources, names, references, and what physics allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlsysim.core import registry
from mlsysim.core.check import entries, measurements, places, references
from mlsysim.core.check.entries import Read, Sources
from mlsysim.core.check.files import GROUPS, LOOSE, ROOT_FILES, File, load, walk
from mlsysim.core.check.machines import hardware_problems, node_problems, reliability_problems
from mlsysim.core.check.ranges import RANGES, check_ranges, table
from mlsysim.core.check.references import Library
from mlsysim.core.check.report import Finding, Notes, Problem, Report
from mlsysim.core.check.workloads import model_problems, region_problems
from mlsysim.core.errors import RegistryError, fold
from mlsysim.core.provenance import Value

__all__ = ["Finding", "Report", "check"]


def check(folder: Path | None = None) -> Report:
    """Check every file of a registry folder.

    A folder that holds all four kinds and ``sources.yaml`` stands alone. One that holds less is an
    addition to the shipped registry, whose sources and entries it may then name too.

    Args:
        folder: a folder with the layout of ``registry/``; the shipped registry by default.

    Returns:
        The findings, and what was read. Nothing is raised for what a file holds.
    """
    return _Check(Path(folder) if folder is not None else registry.root()).run()


class _Check:
    """One check of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = Notes()
        self.report = Report(entries_by_kind=dict.fromkeys(GROUPS, 0))
        self.used: set[str] = set()
        self.library = Library()
        self.reads: list[Read] = []
        self.rows: dict[str, str] = {}

    def run(self) -> Report:
        """Check the folder."""
        if not self.folder.is_dir():
            self.notes.error(".", "", f"{self.folder} is not a folder")
        else:
            files = {file.name: file for file in walk(self.folder, self.notes)}
            if not files:
                self.notes.error(".", "", "there is nothing here that a registry would read")
            kinds = {file.parts[0] for file in files.values()}
            alone = "sources.yaml" in files and kinds >= set(GROUPS)
            if not alone:
                self.library.shipped = _catalogs()
            self._read(files, alone)
            self._compare(files, alone)
        self.report.findings = self.notes.findings()
        return self.report

    def _read(self, files: dict[str, File], alone: bool) -> None:
        """Read every file, checking each by itself."""
        records = self._sources(files, alone)
        sources = Sources(records, references.own_ids(records))
        for file in files.values():
            if file.name in ("sources.yaml", "aliases.yaml"):
                continue
            raw = load(file, self.notes)
            if raw is None:
                if not self.notes.has_error(file.name):
                    self.notes.error(file.name, "", "the file is empty")
                continue
            entries.check_texts(raw, file.name, self.notes)
            gone = entries.check_values(raw, file.name, sources, self.used, self.notes)
            if file.name == "profiles.yaml":
                self.used |= _named_sources(raw)
            elif file.name == "cities.yaml":
                self._count(places.check_cities(raw, file.name, gone, self.notes))
            elif file.name == "egress.yaml":
                self._count(places.check_egress(raw, file.name, self.notes))
            elif file.name in ROOT_FILES:
                self._table(raw, file)
            elif file.parts[0] == LOOSE:
                self.used |= _named_sources(raw)
                measurements.check_rows(raw, file.name, sources, self.rows, self.notes)
            else:
                self._entry(raw, file, gone)

    def _sources(self, files: dict[str, File], alone: bool) -> dict[str, Any]:
        raw: Any = {}
        if "sources.yaml" in files:
            raw = load(files["sources.yaml"], self.notes)
            if raw is None and self.notes.has_error("sources.yaml"):
                raw = {}
        references.check_sources(raw, "sources.yaml", self.notes)
        entries.check_texts(raw, "sources.yaml", self.notes)
        own = {str(key): record for key, record in raw.items()} if isinstance(raw, dict) else {}
        self.report.sources = len(own)
        return own if alone else _shipped_sources() | own

    def _entry(self, raw: Any, file: File, gone: set[entries.Keys]) -> None:
        kind, group, name = file.parts
        types = _catalogs()[kind].types
        entry = entries.read_entry(
            types.get(group) or types[""],
            raw,
            file.name,
            gone,
            self.notes,
            name=name.removesuffix(".yaml"),
            group=group,
        )
        if entry is None:
            return
        read = Read(file.name, kind, entry)
        self.reads.append(read)
        self.library.own[kind].setdefault(fold(entry.name), read)
        self.report.entries_by_kind[kind] += 1
        self._count(entry.values().values())
        check_ranges(entry, table(kind, group), file.name, self.notes)

    def _table(self, raw: Any, file: File) -> None:
        """Check ``defaults.yaml`` or ``economics.yaml``: values under names, perhaps in sections."""
        bounds = RANGES[file.name.removesuffix(".yaml")]
        if not isinstance(raw, dict):
            self.notes.error(file.name, "", "a mapping of values is expected here")
            return
        for name, item in raw.items():
            row = bounds.get(str(name))
            section = (
                isinstance(item, dict)
                and "value" not in item
                and all(isinstance(value, dict) for value in item.values())
            )
            for key, value in item.items() if section else ((None, item),):
                field = str(name) if key is None else f"{name}.{key}"
                parsed = entries.parse_value(value, row.unit if row else "", file.name, field, self.notes)
                if parsed is not None:
                    self._count([parsed])
                    if row and (problem := row.problem(parsed)):
                        self.notes.error(file.name, field, problem)

    def _count(self, values: Any) -> None:
        value: Value
        for value in values:
            self.report.values_by_kind[value.kind] += 1

    def _compare(self, files: dict[str, File], alone: bool) -> None:
        """Check entries against each other, and each against physics."""
        references.check_duplicates(self.reads, self.notes)
        for read in self.reads:
            references.check_entry_references(read, self.library, self.notes)
            if not self.notes.has_error(read.file):
                self.notes.take(read.file, self._invariants(read))
        if "aliases.yaml" in files:
            raw = load(files["aliases.yaml"], self.notes)
            if raw is None and self.notes.has_error("aliases.yaml"):
                raw = {}
            references.check_aliases(raw, "aliases.yaml", self.library, self.notes)
        if "sources.yaml" in files:
            self._unused(files["sources.yaml"], alone)

    def _invariants(self, read: Read) -> Iterable[Problem]:
        """Return what physics and the entries that it names say against an entry."""
        entry = read.entry
        if read.kind == "hardware":
            return (*hardware_problems(entry), *self._back_reference(entry))
        if read.kind == "models":
            return model_problems(entry)
        if read.kind == "infra":
            return (*region_problems(entry, self.library), *places.whereabouts_problems(entry))
        if entry.group == "nodes":
            return node_problems(entry, self.library)
        return reliability_problems(entry) if entry.group == "reliability" else ()

    def _back_reference(self, entry: Any) -> Iterable[Problem]:
        """Yield an accelerator whose usual server holds another one."""
        node: Any = self.library.find("systems", entry.node) if entry.node else None
        held = self.library.find("hardware", getattr(node, "accelerator", ""))
        if held is not None and held.name != entry.name:
            yield Problem("node", f"{node.name} holds {held.name}, not {entry.name}")

    def _unused(self, file: File, alone: bool) -> None:
        """Warn of sources that nothing cites; walls cite their papers, and readers what they read."""
        from mlsysim.walls import WALLS

        raw = load(file, Notes())
        own = set(map(str, raw)) if isinstance(raw, dict) else set()
        cited = {source for wall in WALLS for source in wall.sources}
        idle = own - self.used - cited
        for key in sorted(idle - _cited_in_code(idle)):
            self.notes.warn(file.name, key, "no value cites this source")
        if alone:
            for key in sorted(cited - own):
                self.notes.error(file.name, key, "a wall cites this source, and it is not here")


def _cited_in_code(ids: set[str]) -> set[str]:
    """Return those ids that a module of the package names as a text."""
    cited: set[str] = set()
    for module in Path(__file__).parents[2].rglob("*.py") if ids else ():
        text = module.read_text(encoding="utf-8")
        cited |= {key for key in ids if f'"{key}"' in text}
    return cited


def _named_sources(raw: Any) -> set[str]:
    """Return every text that stands under a key ``source``."""
    found: set[str] = set()
    stack = [raw]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("source"), str):
                found.add(item["source"])
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found


def _catalogs() -> dict[str, Any]:
    """Return the catalogs of the four kinds, imported here because they import this package's parent."""
    from mlsysim import hardware, infra, models, systems

    return {
        "hardware": hardware.CATALOG,
        "models": models.CATALOG,
        "infra": infra.CATALOG,
        "systems": systems.CATALOG,
    }


def _shipped_sources() -> dict[str, Any]:
    """Return the shipped citation records, none if they cannot be read."""
    try:
        return registry.sources()
    except RegistryError:
        return {}
