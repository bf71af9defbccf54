"""Reading YAML that somebody else wrote: bounded, with line numbers, with people's errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlsysim.core.errors import InputError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 1 << 20
MAX_NODES = 50_000
MAX_DEPTH = 40
Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML document and the line on which each of its keys stands."""

    data: Any
    name: str
    lines: dict[Key, int] = field(default_factory=dict)

    def where(self, key: Key) -> str:
        """Return ``file:line: a.b.c`` for the nearest key that has a line."""
        dotted = ".".join(map(str, key))
        for end in range(len(key), -1, -1):
            if (line := self.lines.get(key[:end])) is not None:
                place = f"{self.name}:{line}"
                return f"{place}: {dotted}" if dotted else place
        return f"{self.name}: {dotted}" if dotted and self.name else (dotted or self.name)


def read_text(path: Path) -> str:
    """Return the text of a YAML file.

    Raises:
        InputError: no such file, a directory, unreadable, too large, or not UTF-8.
    """
    name = str(path)
    try:
        if path.is_dir():
            raise InputError("this is a directory", where=name, hint="name a YAML file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"the file is larger than {MAX_BYTES >> 20} MiB",
                where=name,
                hint="a plan or registry entry is a few kilobytes; is this the right file?",
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text (byte {error.start})", where=name, hint="save the file as UTF-8"
        ) from error
    except FileNotFoundError as error:
        raise InputError("no such file", where=name) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", where=name) from error


def load_plain(text: str, name: str) -> Any:
    """Parse ``text`` without line numbers, for the registry's own files."""
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax(error, name) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML: {error}", where=name) from error
    check_size(data, name)
    return data


def load(text: str, name: str) -> Document:
    """Parse ``text`` into a document with the line of every key.

    Raises:
        InputError: not YAML, more than one document, repeated keys, or aliases that expand
            without bound.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        lines = dict(_lines(node, (), name, frozenset())) if node is not None else {}
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax(error, name) from error
    except (ValueError, RecursionError) as error:  # e.g. a date that does not exist
        raise InputError(f"not valid YAML: {error}", where=name) from error
    check_size(data, name)
    return Document(data, name, lines)


def check_size(data: Any, name: str) -> None:
    """Refuse a tree that is recursive, or that aliases expand beyond :data:`MAX_NODES`."""
    stack: list[tuple[Any, int]] = [(data, 0)]
    seen = 0
    while stack:
        item, depth = stack.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise InputError(
                "the document is too large or refers to itself",
                where=name,
                hint="write it without YAML aliases (&name, *name)",
            )
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for pair in item.items() for child in pair)
        elif isinstance(item, list | tuple | set):
            stack.extend((child, depth + 1) for child in item)


def _lines(node: Any, key: Key, name: str, above: frozenset[int]) -> Iterator[tuple[Key, int]]:
    yield key, node.start_mark.line + 1
    if id(node) in above or len(above) > MAX_DEPTH:
        raise InputError(
            "the document refers to itself or nests too deeply", where=f"{name}:{node.start_mark.line + 1}"
        )
    budget_above = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key_node, value in node.value:
            child = str(key_node.value)
            line = key_node.start_mark.line + 1
            if child in first:
                raise InputError(
                    f"{child!r} stands twice, first on line {first[child]}",
                    where=f"{name}:{line}",
                    hint="keep one of them",
                )
            first[child] = line
            yield (*key, child), line
            if isinstance(value, yaml.CollectionNode):
                yield from _below(value, (*key, child), name, budget_above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*key, index), value.start_mark.line + 1
            if isinstance(value, yaml.CollectionNode):
                yield from _below(value, (*key, index), name, budget_above)


def _below(node: Any, key: Key, name: str, above: frozenset[int]) -> Iterator[tuple[Key, int]]:
    entries = _lines(node, key, name, above)
    next(entries)  # the container's own line is that of its key
    yield from entries


def _syntax(error: yaml.YAMLError, name: str) -> InputError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    return InputError(
        f"not valid YAML: {problem}", where=where, hint="check the indentation, quotes and colons there"
    )
