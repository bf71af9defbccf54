"""Named scenarios of layer D: a workload, the machine it runs on, and its limits, ready to evaluate."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, RegistryError
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, Record, number, part, read, text

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.plan import Plan


def mapping(*, required: bool = False) -> Any:
    """Declare a field that holds plain data under keys, kept as it stands in the file."""
    return field(default=None, metadata={"mapping": True, "required": required})


@dataclass(frozen=True, repr=False)
class Story(Record):
    """The sourced numbers behind a scenario's plan.

    Attributes:
        latency: the longest that one pass of the plan may take.
        task_latency: the longest that the user's whole task may take, of which a pass is a part.
        passes: passes of the model in one task.
        rate: samples that arrive in a second.
        throughput: tokens that must be processed in a second.
        tokens: tokens of a training run.
        duration: how long the run may take.
        efficiency: share of the peak that this model reaches on this machine.
        battery: energy of a full battery.
        active: share of the time in which the accelerator works.
    """

    latency: Value | None = number("s")
    task_latency: Value | None = number("s")
    passes: Value | None = number("1")
    rate: Value | None = number("sample/s")
    throughput: Value | None = number("token/s")
    tokens: Value | None = number("token")
    duration: Value | None = number("s")
    efficiency: Value | None = number("1")
    battery: Value | None = number("J")
    active: Value | None = number("1")


@dataclass(frozen=True, repr=False)
class ScenarioEntry(Entry):
    """A scenario by name.

    Attributes:
        description: what happens, and what limits it.
        plan: a complete plan, as a plan file has it.
        story: where the numbers of the plan come from.
    """

    description: str = text(required=True)
    plan: dict[str, Any] = mapping(required=True)
    story: Story | None = part(Story)

    def to_plan(self) -> Plan:
        """Return the plan, validated; it goes by the scenario's name where it has none of its own.

        Raises:
            InputError: naming the key of the plan that is wrong.
        """
        from mlsysim.core.plan import load

        try:
            return load({"name": self.name.replace("_", " "), **deepcopy(self.plan)})[0]
        except InputError as error:
            raise self._placed(error) from error

    def evaluate(self) -> Evaluation:
        """Return the evaluation of the plan.

        Raises:
            InputError: a key of the plan is wrong, or a name in it is not in the registry.
        """
        from mlsysim.core.api import evaluate_plan

        plan = self.to_plan()
        try:
            return evaluate_plan(plan)
        except InputError as error:
            raise self._placed(error) from error

    def _placed(self, error: InputError) -> InputError:
        error.where = f"{self.name}: plan.{error.where}" if error.where else f"{self.name}: plan"
        return error


def read_file(path: str | Path) -> ScenarioEntry:
    """Return the scenario in a YAML file; the file's name is the scenario's.

    Raises:
        InputError: unreadable, or not YAML.
        RegistryError: a field is unknown, missing or malformed.
    """
    path = Path(path)
    raw = yamlfile.load(yamlfile.read_text(path), str(path)).data
    if not isinstance(raw, dict):
        raise RegistryError("a mapping is expected here", where=str(path))
    plan = raw.pop("plan", None)
    if plan is not None and not isinstance(plan, dict):
        raise RegistryError("a plan is a mapping of keys to values", where=f"{path}: plan")
    return read(ScenarioEntry, raw, str(path), name=path.stem, group=path.parent.name, plan=plan)
