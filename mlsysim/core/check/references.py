"""What points at something else: sources, aliases, and the names that entries call each other by."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mlsysim.core.check.entries import Read
from mlsysim.core.check.files import GROUPS
from mlsysim.core.check.report import Notes, listed
from mlsysim.core.errors import MlsysimError, fold, nearest
from mlsysim.core.records import Entry

_ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_URL = re.compile(r"https?://[^\s/]+\.[^\s]+")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_OWN = "registry/"  # a source that lies in the registry itself
_SOURCE_KEYS = ("title", "authors", "year", "url", "doi", "note")

# Text fields that name another entry: (kind, group or "") -> field -> (kind, group or "").
REFERENCES: dict[tuple[str, str], dict[str, tuple[str, str]]] = {
    ("hardware", ""): {"node": ("systems", "nodes")},
    ("systems", "nodes"): {
        "accelerator": ("hardware", ""),
        "scale_up": ("systems", "fabrics"),
        "scale_out": ("systems", "fabrics"),
    },
    ("systems", "reliability"): {"accelerator": ("hardware", "")},
    ("infra", ""): {"grid": ("infra", "grids")},
}


@dataclass
class Library:
    """All entries that names can mean: those of the folder, and the shipped ones behind them.

    Attributes:
        own: entries of the folder by kind and folded name.
        shipped: catalogs to fall back on, by kind; empty when the folder stands alone.
    """

    own: dict[str, dict[str, Read]] = field(default_factory=lambda: {kind: {} for kind in GROUPS})
    shipped: dict[str, Any] = field(default_factory=dict)

    def find(self, kind: str, name: str) -> Entry | None:
        """Return the entry that ``name`` means, or None."""
        read = self.own[kind].get(fold(name))
        if read is not None:
            return read.entry
        if kind in self.shipped:
            try:
                entry: Entry = self.shipped[kind].get(name)
                return entry
            except MlsysimError:
                return None
        return None

    def names(self, kind: str) -> list[str]:
        """Return every name of a kind, without aliases."""
        names = [read.entry.name for read in self.own[kind].values()]
        return names + (self.shipped[kind].names() if kind in self.shipped else [])


def check_entry_references(read: Read, library: Library, notes: Notes) -> None:
    """Log names of other entries that mean nothing, or an entry of the wrong group."""
    entry = read.entry
    fields = REFERENCES.get((read.kind, entry.group)) or REFERENCES.get((read.kind, ""), {})
    for name, (kind, group) in fields.items():
        text = getattr(entry, name, "")
        if not text:
            continue
        found = library.find(kind, text)
        if found is None:
            close = nearest(text[:100], library.names(kind))
            notes.error(
                read.file,
                name,
                f"there is no {kind} entry called {text!r}"
                + (f"; nearest: {listed(close)}" if close else ""),
            )
        elif group and found.group != group:
            notes.error(read.file, name, f"{text!r} is in {kind}/{found.group}, not in {kind}/{group}")


def check_duplicates(reads: Iterable[Read], notes: Notes) -> None:
    """Log entries of one kind whose names or titles cannot be told apart."""
    names: dict[tuple[str, str], Read] = {}
    titles: dict[tuple[str, str], Read] = {}
    for read in reads:
        first = names.setdefault((read.kind, fold(read.entry.name)), read)
        if first is not read:
            notes.error(
                read.file, "", f"{first.file} has the same name (case, '-', '_' and '.' do not count)"
            )
        first = titles.setdefault((read.kind, fold(read.entry.title)), read)
        if first is not read:
            notes.warn(read.file, "title", f"{first.file} has the same title")


def check_aliases(raw: Any, file: str, library: Library, notes: Notes) -> None:
    """Check ``aliases.yaml``: each alias is a new name of an entry that exists."""
    if not isinstance(raw, dict):
        notes.error(file, "", "a mapping is expected here: kind, then alias: name")
        return
    for kind, aliases in raw.items():
        if kind not in GROUPS or not isinstance(aliases, dict):
            notes.error(file, str(kind), f"a mapping of aliases under one of {listed(GROUPS)} is expected")
            continue
        entries = {fold(name): name for name in library.names(kind)}
        seen: dict[str, str] = {}
        for alias, target in aliases.items():
            where = f"{kind}.{alias}"
            if not isinstance(alias, str) or not isinstance(target, str):
                notes.error(file, where, "an alias and the name it stands for are texts")
            elif entries.get(fold(alias)) == entries.get(fold(target), ""):
                notes.warn(file, where, f"not needed: {target} is found under this name already")
            elif fold(alias) in entries:
                notes.error(file, where, f"this is the name of an entry, {entries[fold(alias)]}")
            elif fold(alias) in seen:
                notes.error(file, where, f"the same as {seen[fold(alias)]}")
            elif fold(target) not in entries:
                notes.error(file, where, f"there is no {kind} entry called {target!r}")
            else:
                seen[fold(alias)] = alias


def own_ids(records: dict[str, Any]) -> set[str]:
    """Return the ids of sources that lie in the registry itself."""
    return {
        key
        for key, record in records.items()
        if isinstance(record, dict) and str(record.get("url", "")).startswith(_OWN)
    }


def check_sources(raw: Any, file: str, notes: Notes) -> None:
    """Check ``sources.yaml``: each record says what it cites and where that is."""
    if not isinstance(raw, dict):
        notes.error(file, "", "a mapping is expected here: id, then title, authors, year, url or doi")
        return
    places: dict[str, list[str]] = defaultdict(list)
    for key, record in raw.items():
        if not _ID.fullmatch(str(key)):
            notes.error(file, str(key), "an id is lower case letters and digits joined by _")
        if not isinstance(record, dict):
            notes.error(file, str(key), "a mapping is expected here: title, authors, year, url or doi")
            continue
        for name, problem in _citation(record):
            notes.error(file, f"{key}.{name}" if name else str(key), problem)
        for name in ("url", "doi"):
            if isinstance(record.get(name), str):
                places[record[name].rstrip("/").lower()].append(str(key))
    for keys in places.values():
        if len(keys) > 1:
            notes.error(file, keys[1], f"cites the same as {keys[0]}: keep one record")


def _citation(record: dict[Any, Any]) -> Iterable[tuple[str, str]]:
    for key in record:
        if key not in _SOURCE_KEYS:
            yield str(key), f"unknown field; a source has {listed(_SOURCE_KEYS)}"
    for key in ("title", "authors", "url", "doi"):
        if key in record and (not isinstance(record[key], str) or not record[key].strip()):
            yield key, "this is not text"
    if "title" not in record:
        yield "", "'title' is missing"
    year, latest = record.get("year"), datetime.datetime.now(datetime.UTC).year + 1
    if isinstance(year, bool) or not isinstance(year, int) or not 1600 <= year <= latest:
        yield "year", f"{str(year)[:40]!r} is not the year of a publication"
    if not any(record.get(key) for key in ("url", "doi", "authors")):
        yield "", "a source needs a url, a doi or authors"
    url, doi = record.get("url"), record.get("doi")
    if isinstance(url, str) and not _URL.fullmatch(url) and not (url.startswith(_OWN) and ".." not in url):
        yield "url", f"{url!r} is not an address that begins with http:// or https://"
    if isinstance(doi, str) and not _DOI.fullmatch(doi):
        yield "doi", f"{doi!r} is not a DOI (10.1145/3360307)"
