"""Traces of requests as CSV, cut into buckets of prompt and output length.

Two public layouts are known by their headers: the Azure LLM inference traces (``TIMESTAMP,
ContextTokens, GeneratedTokens``; Patel 2024) and BurstGPT (``Timestamp, ..., Request tokens, Response
tokens, ...``; Wang 2024). Requests without an answer are left out: they failed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlsysim.core import sealed
from mlsysim.core.errors import InputError

Floats = NDArray[np.float64]

LAYOUTS = {
    "azure": ("timestamp", "contexttokens", "generatedtokens"),
    "burstgpt": ("timestamp", "request tokens", "response tokens"),
}
MAX_BYTES = 1 << 30
MAX_TOKENS = 1e7


@dataclass(frozen=True)
class Trace:
    """Requests in the order of the file: seconds since the first, tokens of prompts and of answers."""

    layout: str
    time: Floats
    prompt: Floats
    output: Floats

    @property
    def span(self) -> float:
        """Time that the trace covers [s]: to the last request and one mean gap further."""
        first, last = float(self.time.min()), float(self.time.max())
        return (last - first) * len(self.time) / max(len(self.time) - 1, 1)


@dataclass(frozen=True)
class Buckets:
    """Requests of about one size: mean tokens, and requests a second."""

    prompt: Floats
    output: Floats
    rate: Floats


def read(path: Path) -> Trace:
    """Return the requests of a file.

    Raises:
        InputError: with the line.
    """
    sealed.check(path, "give the requests as mix.classes")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"the trace is larger than {MAX_BYTES >> 20} MiB", where=str(path))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(csv.reader(file), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the trace cannot be read: {error}", where=str(path)) from error
    except csv.Error as error:
        raise InputError(f"no CSV: {error}", where=str(path)) from error


def _rows(lines: Iterator[list[str]], name: str) -> Trace:
    header = [c.strip().lower() for c in next(lines, [])]
    layout = next((k for k, columns in LAYOUTS.items() if set(columns) <= set(header)), None)
    if layout is None:
        raise InputError(
            "the header is of no known layout",
            where=f"{name}:1",
            hint="; ".join(f"{k}: {', '.join(v)}" for k, v in LAYOUTS.items()),
        )
    at = [header.index(c) for c in LAYOUTS[layout]]
    found: list[tuple[float, float, float]] = []
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        where = f"{name}:{number}"
        if len(line) <= max(at):
            raise InputError(f"{len(line)} columns, the header has {len(header)}", where=where)
        when, prompt, output = (line[k].strip() for k in at)
        tokens = _tokens(prompt, where), _tokens(output, where)
        if tokens[1] > 0:
            found.append((_seconds(when, where), *tokens))
    if not found:
        raise InputError("the trace has no answered request", where=name)
    table = np.array(found)
    if len(found) < 2 or np.ptp(table[:, 0]) == 0.0:
        raise InputError(
            "all requests come at one time, so that no rate is known", where=name, hint="give mix.classes"
        )
    return Trace(layout, table[:, 0] - table[:, 0].min(), table[:, 1], table[:, 2])


def _tokens(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= MAX_TOKENS:
        raise InputError(f"{text!r} is no number of tokens", where=where, hint=f"from 0 to {MAX_TOKENS:g}")
    return value


def _seconds(text: str, where: str) -> float:
    """Return a time in s: a number, or a date and time."""
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        if not abs(value) <= 1e12:
            raise InputError(f"{text!r} is no time", where=where)
        return value
    try:
        # Azure writes seven digits of a second, Python reads six
        head, dot, rest = text.replace("Z", "+00:00").partition(".")
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        found = datetime.fromisoformat(head + (dot + digits[:6] + rest[len(digits) :] if digits else ""))
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time", where=where, hint="seconds, or 2023-11-16 18:15:46"
        ) from error
    zero = datetime(1970, 1, 1, tzinfo=found.tzinfo)
    return (found - zero).total_seconds()


def buckets(trace: Trace, parts: int) -> Buckets:
    """Return a trace cut at quantiles: ``parts`` of prompts, each into ``parts`` of outputs.

    Each bucket has the mean lengths of its requests, so that tokens are kept.
    """
    cells = _cut(trace.prompt, parts)
    for k in np.unique(cells):
        mine = cells == k
        trace_part = _cut(trace.output[mine], parts)
        cells[mine] = k + trace_part * parts
    _, which, count = np.unique(cells, return_inverse=True, return_counts=True)
    prompt = np.bincount(which, weights=trace.prompt) / count
    output = np.bincount(which, weights=trace.output) / count
    return Buckets(prompt, output, count / trace.span)


def _cut(values: Floats, parts: int) -> NDArray[np.int64]:
    """Return the quantile that each value is in."""
    ends = np.unique(np.quantile(values, np.arange(1, parts) / parts))
    return np.searchsorted(ends, values, side="right").astype(np.int64)
