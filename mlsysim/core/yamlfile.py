"""Reading YAML that somebody else wrote: bounded, with line numbers, with people's errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlsysim.core.errors import InputError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 as everybody reads it, and JSON's ``1e-09`` as the number that it is there."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
MAX_BYTES = 1 << 20
MAX_NODES = 50_000
MAX_DEPTH = 40
MAX_TEXT = 10_000
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


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """Return the text of a YAML file; a pipe such as ``/dev/stdin`` is read as well.

    Args:
        path: the file.
        most: bytes that are read.

    Raises:
        InputError: no such file, a directory, unreadable, too large, or not UTF-8.
    """
    name = str(path)
    try:
        if path.is_dir():
            raise InputError("this is a directory", where=name, hint="name a YAML file")
        raw = _read(path, most)
        if len(raw) > most:
            raise InputError(
                f"the file is larger than {most >> 20} MiB",
                where=name,
                hint="a plan or registry entry is a few kilobytes; is this the right file?",
            )
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8 text (byte {error.start})", where=f"{name}:{line}", hint="save the file as UTF-8"
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            "no such file", where=name, hint="a path is taken from the folder in which you run mlsysim"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", where=name, hint="name a YAML file") from error


def _read(path: Path, most: int) -> bytes:
    """Return the bytes of a file, at most one more than allowed: a device may have no end."""
    # a named pipe that nobody writes to must not make us wait for a writer
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        os.set_blocking(descriptor, True)
        return file.read(most + 1)


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


def load(text: str, name: str, most: int = MAX_NODES) -> Document:
    """Parse ``text`` into a document with the line of every key.

    Args:
        text: the YAML.
        name: of the file, for messages.
        most: values and keys that a document may hold, aliases followed.

    Raises:
        InputError: not YAML, more than one document, repeated keys, tags, nesting without bound, or
            aliases that expand without bound.
    """
    try:
        _check_events(text, name)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Document(None, name)
            lines = dict(_Lines(loader, name, most).of(node, (), 0))
            return Document(loader.construct_document(node), name, lines)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _syntax(error, name, text) from error


def _check_events(text: str, name: str) -> None:
    """Refuse what is dangerous to build, before anything is built: events come one at a time.

    Deep nesting exhausts the parser's stack, and a tag makes it build other things than numbers,
    texts, lists and mappings.
    """
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        where = f"{name}:{event.start_mark.line + 1}"
        if depth > MAX_DEPTH:
            raise InputError("the document nests too deeply", where=where, hint="close the brackets")
        if getattr(event, "tag", None) is not None:
            raise InputError(
                f"a YAML tag ({event.tag.replace('tag:yaml.org,2002:', '!!')}) is not allowed here",
                where=where,
                hint="write a plain value",
            )
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_TEXT:
            raise InputError(
                f"a value of {len(event.value):,} characters",
                where=where,
                hint=f"at most {MAX_TEXT:,} are read",
            )


def check_size(data: Any, name: str) -> None:
    """Refuse a tree that is recursive, or that aliases expand beyond :data:`MAX_NODES`."""
    level: list[Any] = [data]
    seen = depth = 0
    while level:
        seen += len(level)
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                seen += len(item)  # its keys, which are plain
                below.extend(item.values())
            elif isinstance(item, list | tuple | set):
                below.extend(item)
            if seen + len(below) > MAX_NODES or depth > MAX_DEPTH + 1:
                raise InputError(
                    "the document is too large or refers to itself",
                    where=name,
                    hint="write it without YAML aliases (&name, *name)",
                )
        level = below


class _Lines:
    """Walks a tree of nodes, aliases followed, for the line of every key; refuses what is unsound."""

    def __init__(self, loader: Any, name: str, most: int) -> None:
        self.loader = loader
        self.name = name
        self.most = most
        self.seen = 0

    def of(self, node: Any, key: Key, depth: int) -> Iterator[tuple[Key, int]]:
        """Yield the key of each node at or below ``node``, with its line."""
        line = node.start_mark.line + 1
        if depth == 0:
            yield key, line
        self.seen += 1
        if self.seen > self.most or depth > MAX_DEPTH:
            raise InputError(
                "the document is too large or refers to itself",
                where=f"{self.name}:{line}",
                hint="write it without YAML aliases (&name, *name)",
            )
        if isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key_node, value in node.value:
                child = self._text(key_node)
                line = key_node.start_mark.line + 1
                if child in first:
                    raise InputError(
                        f"{child!r} stands twice, first on line {first[child]}",
                        where=f"{self.name}:{line}",
                        hint="keep one of them",
                    )
                first[child] = line
                yield (*key, child), line
                yield from self.of(value, (*key, child), depth + 1)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield (*key, index), value.start_mark.line + 1
                yield from self.of(value, (*key, index), depth + 1)
        else:
            self._check_scalar(node, key)

    def _text(self, node: Any) -> str:
        """Return a key as text."""
        if not isinstance(node, yaml.ScalarNode):
            raise InputError(
                "a list or a mapping cannot be a key",
                where=f"{self.name}:{node.start_mark.line + 1}",
                hint="write 'key: value', and put text with brackets in quotes",
            )
        if node.tag != "tag:yaml.org,2002:merge":
            self._check_scalar(node, ())
        return str(node.value)

    def _check_scalar(self, node: Any, key: Key) -> None:
        """Refuse a value that looks like a date or a number and is none, or that cannot be shown."""
        try:
            repr(self.loader.construct_object(node))
        except ValueError as error:  # e.g. 2024-13-45, or thousands of digits
            dotted = ".".join(map(str, key))
            raise InputError(
                f"{_shortened(node.value)} cannot be read: {str(error).partition(':')[0].partition(';')[0]}",
                where=f"{self.name}:{node.start_mark.line + 1}" + (f": {dotted}" if dotted else ""),
                hint="put text in quotes",
            ) from error


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _syntax(error: yaml.YAMLError, name: str, text: str = "") -> InputError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    hint = "check the indentation, quotes and colons there"
    where = name
    if mark is not None:
        where = f"{name}:{mark.line + 1}"
        lines = text.splitlines()
        if mark.line < len(lines) and "\t" in lines[mark.line]:
            hint = "use spaces, not tabs, before a key"
        elif "but found another document" in problem:
            hint = "keep one document: remove the line ---"
    elif isinstance(error, yaml.reader.ReaderError):  # a character that YAML does not allow
        start = text.encode("utf-8", "surrogatepass")[: error.position]
        where, hint = f"{name}:{start.count(10) + 1}", "remove that character; is this a text file?"
    return InputError(f"not valid YAML: {problem}", where=where, hint=hint)
