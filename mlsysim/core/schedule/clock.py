"""Times of a plan: instants and durations, as slots."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError

HOUR = 3600.0
_INSTANT = re.compile(r"\s*\d{4}-\d\d-\d\d")
# Rounding of seconds that does not make a slot of its own.
_TINY = 1e-9


def instant(text: str, zone: ZoneInfo | None) -> datetime:
    """Return an ISO time in UTC; without an offset it is that of a zone's clock.

    Raises:
        InputError: no time, no zone, or one that the clock skips or shows twice.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(f"{text[:40]!r} is no time", hint="e.g. 2025-03-30T01:00+01:00") from error
    try:
        if time.utcoffset() is not None:
            return time.astimezone(UTC)
        if zone is None:
            raise InputError(
                f"{text[:40]!r} has no offset from UTC",
                hint="write e.g. 2025-03-30T01:00+01:00, or name the clock with ops.timezone",
            )
        # where the clock goes forward or back, the two readings differ
        first, second = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError as error:
        raise InputError(f"{text[:40]!r} is out of range") from error
    if first == second:
        return first
    if first.astimezone(zone).replace(tzinfo=None) != time:
        raise InputError(
            f"{text} does not exist in {zone.key}: the clock goes forward then",
            hint=f"it shows {first.astimezone(zone).isoformat()} instead",
        )
    ways = " or ".join(t.astimezone(zone).isoformat() for t in (first, second))
    raise InputError(
        f"{text} comes twice in {zone.key}: the clock goes back then", hint=f"write the offset: {ways}"
    )


@dataclass(frozen=True)
class Clock:
    """The time of a plan.

    Attributes:
        start: the instant at which the first slot begins, in UTC.
        step: length of a slot [s].
        slots: how many.
        zone: of times without an offset.
    """

    start: datetime
    step: float
    slots: int
    zone: ZoneInfo | None

    def seconds(self, given: float | str) -> float:
        """Return a moment of the plan in seconds after its start.

        A bare number is in hours; text is a time, or a duration such as ``36 h``.

        Raises:
            InputError: neither a time nor a duration.
        """
        if isinstance(given, str) and _INSTANT.match(given):
            return (instant(given, self.zone) - self.start).total_seconds()
        return units.parse(given, "h")

    def slot_from(self, seconds: float) -> int:
        """Return the first slot that begins at a moment or later."""
        return self.cover(seconds)

    def slot_until(self, seconds: float) -> int:
        """Return the slot before which everything has ended at a moment."""
        return math.floor(seconds / self.step + _TINY)

    def cover(self, seconds: float) -> int:
        """Return how many slots hold a duration."""
        return math.ceil(seconds / self.step - _TINY)

    def time(self, slot: int) -> datetime:
        """Return when a slot begins: in the zone of the plan, or in UTC."""
        moment = self.start + timedelta(seconds=slot * self.step)
        return moment.astimezone(self.zone or UTC)

    def local_hours(self, zone: ZoneInfo) -> np.ndarray:
        """Return the hour of the day on a zone's clock at each hour of the plan, at its middle."""
        hours = round(self.slots * self.step / HOUR)
        middle = self.start + timedelta(minutes=30)
        return np.array([(middle + timedelta(hours=h)).astimezone(zone).hour for h in range(hours)])


def uncovered(file: str, start: datetime, hours: int, clock: Clock) -> str:
    """Return in words that the hours of a file are not those of a plan.

    Args:
        file: its name.
        start: of its first hour, in UTC.
        hours: in it.
        clock: of the plan.
    """
    end = start + timedelta(hours=hours)
    wanted = clock.start + timedelta(seconds=clock.slots * clock.step)
    return (
        f"{file} covers {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC by the hour, "
        f"the plan {clock.start:%Y-%m-%d %H:%M} to {wanted:%Y-%m-%d %H:%M} UTC"
    )
