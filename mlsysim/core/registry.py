"""Access to ``registry/``: one entry is read when it is asked for, and no sooner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, RegistryError, UnknownNameError, fold, unknown
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, read

E = TypeVar("E", bound=Entry)


@cache
def root() -> Path:
    """Return the folder of the registry: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "registry", package.parent / "registry"):
        if folder.is_dir():
            return folder
    raise RegistryError("the registry folder is missing", where=str(package), hint="reinstall mlsysim")


class Catalog(Generic[E]):
    """All entries of one kind.

    Args:
        kind: what one entry is called in messages, e.g. ``hardware``.
        folder: folder below :func:`root`.
        types: the record type of each group; ``""`` is the type of all other groups.
    """

    def __init__(self, kind: str, folder: str, types: dict[str, type[E]], see: str = "") -> None:
        self.kind = kind
        self.folder = folder
        self.types = types
        self.see = see or f"mlsysim zoo {kind}"
        self._entries: dict[str, E] = {}

    @cached_property
    def paths(self) -> dict[str, Path]:
        """The file of each entry, by name, in order of group and name."""
        folder = root() / self.folder
        return {p.stem: p for p in sorted(folder.glob("*/*.yaml"))}

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return {fold(name): name for name in self.paths}

    def groups(self) -> list[str]:
        """Return the names of the groups."""
        return sorted({p.parent.name for p in self.paths.values()})

    def names(self, group: str = "") -> list[str]:
        """Return the names of all entries, or of those of one group."""
        return [n for n, p in self.paths.items() if not group or p.parent.name == group]

    def find(self, name: str) -> str:
        """Return the exact name of the entry that ``name`` means.

        Raises:
            UnknownNameError: naming the nearest entries.
        """
        key = fold(name)
        if key in self._by_key:
            return self._by_key[key]
        alias = {fold(k): v for k, v in _aliases().get(self.kind, {}).items()}
        if key in alias:
            return self.find(alias[key])
        raise unknown(_SINGULAR.get(self.kind, self.kind), name, self.paths, self.see)

    def get(self, name: str) -> E:
        """Return the entry that ``name`` means, reading its file on first use."""
        exact = self.find(name)
        if exact not in self._entries:
            self._entries[exact] = self.read(self.paths[exact])
        return self._entries[exact]

    def read(self, path: Path) -> E:
        """Read an entry file of this kind.

        Raises:
            RegistryError: naming file and field.
        """
        where = f"{path.parent.name}/{path.name}"
        try:
            raw = yamlfile.load_plain(yamlfile.read_text(path), where)
        except InputError as error:
            raise RegistryError(error.problem, where=error.where, hint=error.hint) from error
        group = path.parent.name
        cls = self.types.get(group) or self.types[""]
        return read(cls, raw, where, name=path.stem, group=group)

    def __iter__(self) -> Iterator[E]:
        return (self.get(name) for name in self.paths)

    def __len__(self) -> int:
        return len(self.paths)


class Namespace(Generic[E]):
    """Attribute access to a catalog: ``Hardware.Cloud.H100``."""

    def __init__(self, catalog: Catalog[E], group: str = "") -> None:
        self._catalog = catalog
        self._group = group

    def _names(self) -> list[str]:
        if self._group:
            return self._catalog.names(self._group)
        return [group_title(g) for g in self._catalog.groups()]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        key = fold(name)
        if not self._group and key in self._catalog.groups():
            return Namespace(self._catalog, key)
        try:
            entry = self._catalog.get(name)
        except UnknownNameError as error:
            raise AttributeError(str(error)) from error
        if self._group and entry.group != self._group:
            raise AttributeError(f"{entry.name} is in {entry.group!r}, not in {self._group!r}")
        return entry

    def __getitem__(self, name: str) -> E:
        return self._catalog.get(name)

    def __dir__(self) -> list[str]:
        return self._names()

    def __iter__(self) -> Iterator[E]:
        return (self._catalog.get(n) for n in self._catalog.names(self._group))

    def __repr__(self) -> str:
        return f"<{self._catalog.kind}{'.' + self._group if self._group else ''}: {', '.join(self._names())}>"


_SINGULAR = {"models": "model", "infra": "region", "systems": "system"}
_GROUP_TITLES = {"gcp": "GCP", "aws": "AWS", "statespace": "StateSpace"}


def group_title(group: str) -> str:
    """Return a group's name as an attribute: ``cloud`` is ``Cloud``, ``gcp`` is ``GCP``."""
    return _GROUP_TITLES.get(group, group.capitalize())


@cache
def _data(file: str) -> dict[str, Any]:
    """Return the content of a mapping file at the root of the registry."""
    path = root() / file
    try:
        data = yamlfile.load_plain(yamlfile.read_text(path), file)
    except InputError as error:
        raise RegistryError(error.problem, where=error.where, hint=error.hint) from error
    if not isinstance(data, dict):
        raise RegistryError("a mapping is expected here", where=file)
    return data


def _aliases() -> dict[str, dict[str, str]]:
    return _data("aliases.yaml")


def table(file: str) -> dict[str, Any]:
    """Return the content of a file of tables, ``cities.yaml`` or ``egress.yaml``.

    Raises:
        RegistryError: it cannot be read.
    """
    return _data(file)


def sources() -> dict[str, dict[str, Any]]:
    """Return the citation records by id."""
    return _data("sources.yaml")


@cache
def default(name: str, unit: str = "1") -> Value:
    """Return what the engine assumes for ``name`` when the plan is silent.

    Raises:
        RegistryError: ``registry/defaults.yaml`` does not have it.
    """
    record = _data("defaults.yaml").get(name)
    if record is None:
        raise RegistryError(f"no default called {name!r}", where="defaults.yaml")
    return Value.parse(record, unit, f"defaults.yaml: {name}")
