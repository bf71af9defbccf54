"""Regions and jobs of a plan with several jobs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlsysim.core.plan import Workload
from mlsysim.core.plan_blocks import CheckpointBlock, ReliabilityBlock, TenancyBlock, quantity
from mlsysim.core.plan_decisions import Parallelism
from mlsysim.core.plan_types import Block, Cap, Degree, Name, Quantity, one_line


def _as_text(given: Any) -> Any:
    """Return a time that YAML has read as one as it was written."""
    return given.isoformat() if isinstance(given, date | datetime) else given


Title = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(one_line)]
Time = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=60)]
# an instant, or a duration from the start of the plan
Moment = Annotated[float, Field(ge=0, le=1e6)] | Time
Names = Annotated[list[Name], Field(min_length=1, max_length=500)]
Counts = Degree | Annotated[list[Degree], Field(min_length=1, max_length=50)]
Rate = Annotated[float, Field(ge=0, le=1e12)]
# the same at all hours, by hour of the local day, or a CSV file with columns timestamp and demand
Demand = Rate | Annotated[list[Rate], Field(min_length=24, max_length=24)] | Name


class ClosedBlock(Block):
    """A time in which nothing runs in a region."""

    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to")


class ProfileBlock(Block):
    """A CSV file with the hourly carbon intensity and price of a region."""

    file: Name = Field(description="columns timestamp, carbon_intensity and price")
    timezone: Name | None = Field(None, description="clock of timestamps without an offset")
    carbon_unit: Name | None = None
    price_unit: Name | None = None


class RegionBlock(Block):
    """A place to run, and what of it is there for these jobs."""

    name: Name = Field(description="a region of the zoo: mlsysim zoo infra; or a YAML entry")
    capacity: dict[Name, Rate] | None = Field(
        None, description="accelerators by type; without limit if absent, none of what is not listed"
    )
    power: Quantity | None = quantity("MW", "facility power that is there; without limit if absent")
    closed: list[ClosedBlock] = Field(default_factory=list, max_length=1000)
    profile: ProfileBlock | Name | None = Field(
        None, description="hourly carbon and price from a CSV file, not the registry's shapes"
    )
    price: Quantity | None = quantity("USD/kWh", "mean price of electricity, not the registry's")
    carbon_intensity: Quantity | None = quantity("gCO2e/kWh", "mean intensity, not the registry's")
    pue: Annotated[float, Field(ge=1, le=10)] | None = None
    rent: dict[Name, Quantity] = Field(
        default_factory=dict, description="of an accelerator by type, not the registry's [USD/h]"
    )
    egress: Quantity | None = quantity("USD/GB", "price of data that leaves this region")
    tenancy: TenancyBlock | None = Field(None, description="jobs wait for a place before they start")

    @model_validator(mode="after")
    def _one_profile(self) -> RegionBlock:
        if self.profile is not None and (self.price is not None or self.carbon_intensity is not None):
            raise ValueError("a profile has price and carbon intensity already: give one or the other")
        return self


class OptionBlock(Block):
    """A type of accelerator that a job may run on, and how many of them."""

    name: Name = Field(description="an accelerator of the zoo: mlsysim zoo hardware")
    accelerators: Counts | None = Field(None, description="a count, or several to choose from")
    hours: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="time of the whole job on these accelerators"
    )
    speed: Annotated[float, Field(gt=0, le=1e6)] = Field(
        1.0, description="work of an accelerator in an hour, in the job's accelerator_hours"
    )
    power: Cap | None = quantity("W", "of one accelerator with its share of the server")
    requests: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        None, description="requests a second that an accelerator answers, of serving"
    )

    @property
    def counts(self) -> list[int]:
        """The counts to choose from."""
        given = self.accelerators
        return given if isinstance(given, list) else [] if given is None else [given]


class DataBlock(Block):
    """What a job has to have where it runs."""

    size: Quantity = Field(description="of the data [GB]")
    at: Name | None = Field(None, description="region where it is; where the job is now if absent")


class PopulationBlock(Block):
    """Users in one place, and what they ask for by the hour."""

    name: Title
    requests: Demand | None = Field(None, description="a second: a number, 24 by local hour, or a CSV file")
    accelerators: Demand | None = Field(None, description="the same in accelerators")
    timezone: Name | None = Field(None, description="IANA name of the users' clock; the plan's if absent")
    at: Name | None = Field(None, description="a city, country or region of the zoo where they are")
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    latency: Cap | None = quantity("ms", "longest round trip over the network")
    now: Name | None = Field(None, description="region that answers them today; that of the job if absent")

    @model_validator(mode="after")
    def _sound(self) -> PopulationBlock:
        if (self.requests is None) == (self.accelerators is None):
            raise ValueError("give what the users ask for: requests or accelerators, one of them")
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        if self.latitude is not None and self.at is not None:
            raise ValueError("at and latitude say the same: give one of them")
        if self.latency is not None and self.latitude is None and self.at is None:
            raise ValueError("a latency needs the users' place: at, or latitude and longitude")
        return self


class DemandBlock(Block):
    """Requests that are answered as they come, wherever it is near enough."""

    populations: Annotated[list[PopulationBlock], Field(min_length=1, max_length=200)]


class JobBlock(Block):
    """Something that has to run."""

    name: Title
    accelerator_hours: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        None, description="work, in hours of one accelerator"
    )
    workload: Workload | None = Field(None, description="work, as training on training_tokens")
    serving: DemandBlock | None = Field(None, description="work, as requests of users")
    parallelism: Parallelism | None = None
    checkpoint: CheckpointBlock | None = None
    reliability: ReliabilityBlock | None = None
    hardware: Annotated[list[OptionBlock], Field(min_length=1, max_length=50)]
    power: Cap | None = quantity("W", "of one accelerator with its share of the server")
    earliest: Moment | None = Field(None, description="not before: a time, or a duration from the start")
    deadline: Moment | None = Field(None, description="ended by; the end of the plan if absent")
    may: Literal["pause", "move", "split"] | None = Field(
        None,
        description="pause between slots, move between regions as well, or split over regions and time",
    )
    data: DataBlock | None = None
    countries: Names | None = Field(None, description="where it may run, as two letters")
    regions: Names | None = Field(None, description="where it may run, of the plan's regions")
    carbon: Cap | None = quantity("tCO2e", "most CO2e of this job")
    now: Name | None = Field(None, description="the plan's region in which it is today")

    @model_validator(mode="after")
    def _one_work(self) -> JobBlock:
        timed = all(o.hours is not None for o in self.hardware)
        given = [self.accelerator_hours is not None, self.workload is not None, self.serving is not None]
        if sum(given) + timed != 1:
            raise ValueError(
                f"{self.name!r} says its work in {sum(given) + timed} ways: give one of accelerator_hours, "
                "workload, serving, or hours of each hardware"
            )
        if self.serving is None and any(o.accelerators is None for o in self.hardware):
            raise ValueError(f"{self.name!r}: each hardware needs its number of accelerators")
        if self.workload is not None and self.workload.phase != "training":
            raise ValueError(f"{self.name!r}: the workload of a job is training; requests are serving")
        if self.workload is None and (self.parallelism or self.checkpoint or self.reliability):
            raise ValueError(f"{self.name!r}: parallelism, checkpoint and reliability go with a workload")
        for name in ("may", "data", "earliest", "deadline", "carbon"):
            if self.serving is not None and getattr(self, name) is not None:
                raise ValueError(
                    f"{self.name!r}: {name} is not of serving: requests are answered as they come"
                )
        return self
