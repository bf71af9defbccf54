"""When and where the jobs of a fleet run: the cheapest schedule, and how good it is at least."""

from formulations.schedule.clash import Clash, Member, clash
from formulations.schedule.planning import Planned, plan
from formulations.schedule.prices import Price, prices

__all__ = ["Clash", "Member", "Planned", "Price", "clash", "plan", "prices"]
