"""The plan file with several jobs: what a user may write, and nothing more.

Parsing is pure. Names are text here; :mod:`mlsysim.core.schedule.resolve` looks them up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from mlsysim.core import yamlfile
from mlsysim.core.fleet_plan_blocks import JobBlock, RegionBlock, Time
from mlsysim.core.plan import validated
from mlsysim.core.plan_blocks import quantity
from mlsysim.core.plan_types import Block, Cap, Name, Quantity, one_line
from mlsysim.core.yamlfile import Document

MOST_HOURS = 8784


class FleetOps(Block):
    """When, for how long, in steps of what length, and who owns the machines."""

    start: Time = Field(description="when the first slot begins, e.g. 2025-03-03T00:00+01:00")
    timezone: Name | None = Field(None, description="IANA name of the clock of times without an offset")
    hours: Annotated[int, Field(ge=1, le=MOST_HOURS)] | None = Field(None, description="length of the plan")
    days: Annotated[int, Field(ge=1, le=MOST_HOURS // 24)] | None = Field(
        None, description="length of the plan, in days of 24 hours"
    )
    resolution: Literal["hour", "day"] = Field("hour", description="length of a slot; a day is 24 hours")
    ownership: Literal["own", "rent", "paid"] = Field(
        "own", description="paid: the machines are there anyway, so only electricity counts"
    )
    pue: Annotated[float, Field(ge=1, le=10)] | None = Field(None, description="of every region")
    bandwidth: Cap | None = quantity("GB/s", "rate at which a job's data is fetched")
    egress: Quantity | None = quantity("USD/GB", "price of data that leaves a region")

    @model_validator(mode="after")
    def _one_length(self) -> FleetOps:
        if (self.hours is None) == (self.days is None):
            raise ValueError("give the length of the plan: hours or days, one of them")
        if self.resolution == "day" and self.hours is not None and self.hours % 24:
            raise ValueError("with resolution day, hours should be a multiple of 24")
        return self

    @property
    def length(self) -> int:
        """Hours of the plan."""
        return self.hours if self.hours is not None else 24 * (self.days or 0)


class FleetConstraints(Block):
    """Limits of all jobs together."""

    budget: Cap | None = quantity("USD", "most that all jobs may cost")
    carbon: Cap | None = quantity("tCO2e", "most CO2e of all jobs, embodied included")
    water: Cap | None = quantity("L", "most water of all jobs")
    carbon_by_region: dict[Name, Cap] = Field(
        default_factory=dict, description="most CO2e of what runs in a region [tCO2e]"
    )


class FleetPlan(Block):
    """A plan with several jobs: regions, jobs, the operations around them, and limits."""

    model_config = ConfigDict(title="mlsysim plan with several jobs")

    version: Literal["1.0"] = Field(description="version of the plan format")
    name: Annotated[str, Field(max_length=200), AfterValidator(one_line)] | None = Field(
        None, description="title of the result"
    )
    ops: FleetOps
    regions: Annotated[list[RegionBlock], Field(min_length=1, max_length=500)]
    jobs: Annotated[list[JobBlock], Field(min_length=1, max_length=10_000)]
    constraints: FleetConstraints = Field(default_factory=lambda: FleetConstraints.model_validate({}))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, without what was left out."""
        return self.model_dump(by_alias=True, exclude_unset=True)


def opened(source: object) -> object:
    """Return a plan's document where the source is a path, and anything else as it is.

    A pipe can be read only once, so what is read serves every kind of plan.

    Raises:
        InputError: the file cannot be read.
    """
    if isinstance(source, str | Path):
        return yamlfile.load(yamlfile.read_text(Path(source)), str(source))
    return source


def is_fleet(source: object) -> bool:
    """Whether a plan (:func:`opened`) is one with several jobs."""
    data = source.data if isinstance(source, Document) else source
    return isinstance(data, FleetPlan) or (isinstance(data, dict) and "jobs" in data)


def load(source: object) -> tuple[FleetPlan, Document]:
    """Return a plan with several jobs, and where its keys stand.

    Args:
        source: a path, a mapping, a document or a plan.

    Raises:
        InputError: with the place, the problem and the remedy.
    """
    source = opened(source)
    if isinstance(source, FleetPlan):
        return source, Document(source.to_dict(), "")
    document = source if isinstance(source, Document) else Document(source, "")
    return validated(document, FleetPlan), document
