"""Refusing YAML that no registry needs, by field: aliases, tags, deep nesting, endless texts.

The reader of :mod:`mlsysim.core.yamlfile` refuses what is dangerous to build and names the line. Here
any alias is refused, also one that would do no harm, and the field is named. Events come one at a time
and build nothing, so this costs time in proportion to the text and no more.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_EVENTS = 200_000
MAX_DEPTH = 12
MAX_TEXT = 4_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def refusal(text: str) -> tuple[str, str] | None:
    """Return the field and the reason for which a text is refused before anything is built.

    Aliases are what makes YAML recursive or explode, and tags are what makes it build other things
    than numbers, texts, lists and mappings; a registry needs neither. A syntax error is left to the
    parser proper.
    """
    frames: list[list[Any]] = []  # [is a mapping, waits for a key, key or index]

    def field() -> str:
        return ".".join(str(frame[2]) for frame in frames if frame[2] is not None)

    try:
        for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
            if count > MAX_EVENTS:
                return field(), f"more than {MAX_EVENTS} values in one file"
            if isinstance(event, yaml.AliasEvent):
                return field(), f"a YAML alias (*{event.anchor}) can refer to itself: write the value out"
            if (tag := getattr(event, "tag", None)) is not None:
                return field(), f"a YAML tag ({tag}) is not needed here: write a plain value"
            if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_TEXT:
                return field(), f"a text of {len(event.value)} characters; at most {MAX_TEXT} are read"
            if isinstance(event, yaml.CollectionStartEvent):
                _step(frames, None)
                mapping = isinstance(event, yaml.MappingStartEvent)
                frames.append([mapping, mapping, None])
                if len(frames) > MAX_DEPTH:
                    return field(), f"nested more than {MAX_DEPTH} deep"
            elif isinstance(event, yaml.CollectionEndEvent):
                frames.pop()
            elif isinstance(event, yaml.ScalarEvent):
                _step(frames, event.value)
    except yaml.YAMLError:
        return None
    return None


def _step(frames: list[list[Any]], text: str | None) -> None:
    """Move the innermost frame on by one key, value or item."""
    if not frames:
        return
    frame = frames[-1]
    if not frame[0]:
        frame[2] = 0 if frame[2] is None else frame[2] + 1
    elif frame[1]:
        frame[1], frame[2] = False, "(a key)" if text is None else text
    else:
        frame[1] = True
