"""What one call of a tool may take."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.core.errors import MlsysimError
from mlsysim.core.solver import defaults

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Limits:
    """Limits of a call.

    Attributes:
        solver: most that a solver may be given [s].
        wall_clock: after which the process of a call is ended [s].
        plan: size of a plan as text [B].
        result: size of a result as JSON [B].
        memory: of the process of a call [B].
        workers: calls that run at a time.
        waiting: calls that may wait for one of these to end.
    """

    solver: float = defaults.TIME_LIMIT
    wall_clock: float = 2 * defaults.TIME_LIMIT + 30
    plan: int = 256 * KIB
    result: int = 4 * MIB
    memory: int = 4096 * MIB
    workers: int = 2
    waiting: int = 32


class CallLimitError(MlsysimError):
    """A call took more time, room or turns than the server gives it."""

    code = "call_limit"
