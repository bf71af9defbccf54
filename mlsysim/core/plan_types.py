"""The types that the blocks of a plan are made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200)]
Degree = Annotated[int, Field(ge=1, le=10_000_000)]
MAX_QUANTITY = 1e30


def _leading_number(text: str) -> float | None:
    """Return the number that a quantity such as ``5 MUSD`` starts with."""
    number = re.match(r"\s*([-+]?[0-9._]+(?:e[-+]?[0-9]+)?)", text, re.IGNORECASE)
    try:
        return float(number[1].replace("_", "")) if number else None
    except ValueError:  # e.g. 1.2.3
        return None


def _not_negative(text: str) -> str:
    """Refuse text whose number is negative or huge; :mod:`mlsysim.core.units` reads the rest."""
    number = _leading_number(text)
    if number is not None and not 0 <= number <= MAX_QUANTITY:
        raise ValueError(f"should be from 0 to {MAX_QUANTITY:g}")
    return text


def _above_zero(text: str) -> str:
    """Refuse text whose number is zero."""
    if _leading_number(text) == 0:
        raise ValueError("should be greater than 0")
    return text


def one_line(text: str) -> str:
    """Refuse text that would break a table or steer a terminal."""
    if not text.isprintable():
        raise ValueError("should be one line without control characters")
    return text


Quantity = (
    Annotated[float, Field(ge=0, le=MAX_QUANTITY)]
    | Annotated[str, Field(max_length=60), AfterValidator(_not_negative)]
)
Cap = (
    Annotated[float, Field(gt=0, le=MAX_QUANTITY)]
    | Annotated[str, Field(max_length=60), AfterValidator(_not_negative), AfterValidator(_above_zero)]
)


class Block(BaseModel):
    """Base of all blocks: unknown keys are errors, types are strict, numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
