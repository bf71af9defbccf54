"""A process that answers for others: plans that come as text may name no file and no download.

Whoever sends a plan over the wire is not the one whose files these are. A process that is sealed stays
so until it ends; a library call or the command line is not.
"""

from __future__ import annotations

from mlsysim.core.errors import InputError

_state = {"sealed": False}


class SealedError(InputError):
    """A plan that came as text names a file, or a download."""

    code = "no_files"


def seal() -> None:
    """Let no plan name a file or a download in this process, from now on."""
    _state["sealed"] = True


def is_sealed() -> bool:
    """Whether plans may name no file."""
    return _state["sealed"]


def check(reference: object, hint: str) -> None:
    """Refuse a file or a download that a plan names, before anything looks whether it is there.

    Args:
        reference: what the plan says.
        hint: what to write instead.

    Raises:
        SealedError: this process is sealed.
    """
    if _state["sealed"]:
        shown = str(reference)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise SealedError(f"{shown!r}: a plan given as text can name no file and no download", hint=hint)
