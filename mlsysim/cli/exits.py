"""Exit codes: what each says, for the help of every command."""

from __future__ import annotations

CODES = {
    0: "holds",
    1: "bad input",
    2: "physically infeasible",
    3: "a limit of the plan is violated",
    4: "the solver stopped without an answer",
}


def told(*codes: int, **words: str) -> str:
    """Return a paragraph on the exit codes of a command.

    Args:
        codes: those that it has.
        words: what one says here, where that is something else: ``_0="done"``.
    """
    said = [f"{code} {words.get(f'_{code}', CODES[code])}" for code in codes]
    return f"\nExit codes: {'; '.join(said)}.\n"
