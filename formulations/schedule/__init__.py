"""When and where the jobs of a fleet run: the cheapest schedule, and how good it is at least."""

from formulations.schedule.planning import Planned, plan

__all__ = ["Planned", "plan"]
