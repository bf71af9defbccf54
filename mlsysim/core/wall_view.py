"""One wall of an evaluation at close range: its equation, filled in, and where the numbers come from."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from mlsysim.core import markdown, text, units
from mlsysim.core.errors import unknown
from mlsysim.core.evaluation import SCHEMA_VERSION, Reading, _reading
from mlsysim.core.zoo import View, citation
from mlsysim.walls import WALLS, Wall

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.scenario import Assumption

Json = dict[str, Any]


@dataclass(frozen=True)
class Term:
    """A quantity behind a wall's numbers: its name for people, its place in the state, its unit."""

    name: str
    path: str
    unit: str


def _terms(*given: tuple[str, str, str]) -> tuple[Term, ...]:
    return tuple(Term(*g) for g in given)


STEP = Term("time of a step or pass", "time", "ms")
TERMS: dict[int, tuple[Term, ...]] = {
    1: _terms(
        ("matrix work", "matmul", "ms"),
        ("peak of an accelerator", "peak", "TFLOP/s"),
        ("share of the peak that large products reach", "share", "1"),
    ),
    2: _terms(
        ("weights, gradients, optimizer", "state", "GiB"),
        ("activations", "activations", "GiB"),
        ("KV cache", "cache", "GiB"),
        ("runtime", "reserve", "GiB"),
        ("memory-bound work", "stream", "ms"),
        ("optimizer step", "update", "ms"),
        ("achieved bandwidth", "bandwidth", "GB/s"),
    ),
    3: _terms(
        ("operations of the model", "model_flops", "TFLOP"),
        ("accelerators", "accelerators", "device"),
        ("peak of each", "peak", "TFLOP/s"),
        ("share that its kernels reach", "share", "1"),
    ),
    4: _terms(
        ("time to first token", "serving.ttft", "ms"),
        ("inter-token latency", "serving.itl", "ms"),
        ("longest gap", "serving.stall", "ms"),
        ("prefill, matrix work", "serving.prefill_compute", "ms"),
        ("prefill, memory traffic", "serving.prefill_stream", "ms"),
        ("decode pass, matrix work", "serving.decode_compute", "ms"),
        ("decode pass, memory traffic", "serving.decode_stream", "ms"),
        ("requests a second of a replica", "serving.rate", "1/s"),
    ),
    5: _terms(
        ("requests at once", "batching.requests", ""),
        ("prompt", "batching.lengths.prompt", "token"),
        ("answer", "batching.lengths.output", "token"),
        ("longest sequence", "batching.lengths.longest", "token"),
        ("block", "batching.block", "token"),
        ("KV cache of a token", "batching.token_bytes", "GB"),
        ("pool", "batching.pool", "GB"),
    ),
    6: _terms(
        ("weights of a layer", "streaming.weights", "GB"),
        ("injection bandwidth", "streaming.injection", "GB/s"),
        ("work on a layer", "streaming.compute", "ms"),
        ("layers", "streaming.layers", ""),
    ),
    7: _terms(
        ("requests a second", "queue.rate", "1/s"),
        ("served at once", "queue.servers", ""),
        ("mean service time", "queue.service", "ms"),
        ("variation of arrivals", "queue.arrival_cv", ""),
        ("variation of service times", "queue.service_cv", ""),
    ),
    8: _terms(("read per step", "ingest.size", "GB"), ("storage bandwidth", "ingest.bandwidth", "GB/s")),
    9: _terms(("CPU time per step", "transform.work", "s"), ("cores", "transform.cores", "")),
    10: _terms(
        ("tensor-parallel ranks", "tensor_ranks", "device"),
        ("scale-up domain", "domain", "device"),
        ("crossing the cut per step", "cut.crossing", "GB"),
        ("bisection bandwidth", "cut.bandwidth", "GB/s"),
    ),
    11: _terms(
        ("parameters at work P", "scaling.params", "param"),
        ("training tokens D", "scaling.tokens", "token"),
        ("tokens of a step", "tokens", "token"),
    ),
    12: _terms(
        ("time to first token", "reasoning.ttft", "ms"),
        ("inter-token latency", "reasoning.itl", "ms"),
        ("steps", "reasoning.steps", ""),
        ("tokens per step", "reasoning.tokens_per_step", "token"),
        ("samples side by side", "reasoning.samples", ""),
        ("revisions", "reasoning.revisions", ""),
        ("verification", "reasoning.verify", "ms"),
    ),
    13: _terms(("relative loss", "compression.loss", "1")),
    14: _terms(("exposed traffic", "exposed", "ms"), ("accelerators", "accelerators", "device")),
    15: _terms(
        ("mean time between failures of the run", "losses.mtbf", "h"),
        ("useful share of the time", "losses.useful", "1"),
        ("share at checkpoints", "losses.writing", "1"),
        ("share lost to failures", "losses.failing", "1"),
        ("share waiting for slow ranks", "losses.straggling", "1"),
        ("duration", "duration", "day"),
    ),
    16: _terms(
        ("jobs an hour", "tenancy.rate", "1/h"),
        ("places", "tenancy.servers", ""),
        ("mean time of a job", "tenancy.service", "h"),
        ("variation of arrivals", "tenancy.arrival_cv", ""),
        ("variation of jobs", "tenancy.service_cv", ""),
    ),
    17: _terms(
        ("share of the purchase", "bill.capital_share", "USD"),
        ("electricity", "bill.energy_cost", "USD"),
        ("upkeep", "bill.upkeep", "USD"),
        ("rent of the same accelerators", "bill.rent", "USD"),
        ("duration", "duration", "day"),
    ),
    18: _terms(
        ("energy of the facility", "bill.energy", "kWh"),
        ("operational carbon", "bill.operational_carbon", "tCO2e"),
        ("embodied carbon", "bill.embodied_carbon", "tCO2e"),
        ("water", "bill.water", "L"),
    ),
    19: _terms(
        ("size of a checkpoint", "checkpoint.size", "GB"),
        ("write bandwidth", "checkpoint.bandwidth", "GB/s"),
        ("standstill", "checkpoint.stall", "s"),
        ("interval", "checkpoint.interval", "s"),
    ),
    20: _terms(
        ("slowdown", "privacy.slowdown", ""),
        ("epsilon", "privacy.epsilon", ""),
        ("groups", "privacy.subgroups", ""),
        ("smallest group", "privacy.smallest", "sample"),
    ),
    21: _terms(
        ("matrix work", "matmul", "ms"),
        ("memory-bound work", "stream", "ms"),
        ("exposed traffic", "exposed", "ms"),
        ("pipeline bubble", "bubble", "ms"),
        ("optimizer step", "update", "ms"),
    ),
    22: _terms(("target", "target", "ms")),
}

# Parts of the names of the assumptions that belong to a wall.
_KERNELS = ("matmul_", "attention_", "training_matmul_share", "launch_overhead", "precision")
_NETWORK = (
    "achieved share",
    " latency",
    " peer start",
    "achieved_share_scale_out",
    "network_latency_scale_out",
)
_LENGTHS = ("prompt_tokens", "output_", "token_budget", "draft_", "batch_size")
_POWER = ("power", "pue", "duration", "server_life")
ASSUMPTIONS: dict[int, tuple[str, ...]] = {
    1: _KERNELS,
    2: (
        "bandwidth_share",
        "memory bandwidth",
        "runtime_reserve",
        "gradient_bytes",
        "state_bytes",
        "storage_precision",
    ),
    3: _KERNELS,
    4: (*_LENGTHS, *_KERNELS, "bandwidth_share", *_NETWORK),
    5: (*_LENGTHS, "kv_", "runtime_reserve"),
    6: ("injection bandwidth", "matmul_"),
    7: (*_LENGTHS, "tail_percentile", "_cv"),
    8: ("token_bytes", "image_bytes", "storage"),
    9: ("token_cpu", "image_cpu", "cores"),
    10: ("oversubscription", "accelerators per node", *_NETWORK),
    11: ("training tokens", "compute_optimal_ratio", "hoffmann", "besiroglu"),
    12: (*_LENGTHS, *_KERNELS, "bandwidth_share", *_NETWORK),
    13: ("compression method", "fidelity_reach"),
    14: (*_NETWORK, "gradient_overlap", "sender_share"),
    15: ("mtbf", "restart_time", "detection_time", "rank_variation", "checkpoint interval", "storage"),
    16: ("arrival_cv", "job_cv"),
    17: ("price", "rent", "upkeep", *_POWER),
    18: ("carbon", "embodied", "wue", "grid_water", *_POWER),
    19: ("checkpoint interval", "snapshot_bandwidth", "storage", "state_bytes", "mtbf"),
    20: ("dp_slowdown", "privacy_delta", "subgroup_"),
    21: (),
    22: (),
}


def find(name: str) -> Wall:
    """Return a wall by its number or its name, e.g. ``14`` or ``communication``.

    Raises:
        UnknownNameError: naming the nearest walls.
    """
    wanted = name.strip().lower().replace("_", " ")
    for wall in WALLS:
        if wanted in (str(wall.number), f"{wall.number:02d}", wall.tag, wall.name.lower()):
            return wall
    raise unknown("wall", name, [w.name for w in WALLS], "mlsysim zoo walls")


@dataclass(frozen=True)
class Zoom:
    """A wall of an evaluation with its rows, terms, assumptions and sources."""

    evaluation: Evaluation
    wall: Wall

    @property
    def reading(self) -> Reading:
        """The wall as the evaluation's table shows it."""
        return self.evaluation.walls[self.wall.number - 1]

    @property
    def rows(self) -> list[Reading]:
        """Every comparison of the wall, as the evaluation reads it."""
        e = self.evaluation
        return [_reading(self.wall, row, e.bottleneck_wall) for row in self.wall.rows(e.state)]

    @property
    def terms(self) -> list[tuple[Term, float]]:
        """What the equation's symbols stand for, in each term's unit; none where it does not apply."""
        if not self.rows:
            return []
        found = [(t, _at(self.evaluation.state, t.path)) for t in (*TERMS[self.wall.number], STEP)]
        return [(t, units.from_base(x, t.unit)) for t, x in found if x is not None]

    @property
    def assumptions(self) -> list[Assumption]:
        """What the engine took for this wall where the plan is silent."""
        if not self.rows:
            return []
        names = ASSUMPTIONS[self.wall.number]
        return [a for a in self.evaluation.scenario.assumptions if any(part in a.name for part in names)]

    def to_dict(self) -> Json:
        """Return the wall as one JSON document."""
        wall = self.reading.to_dict() | {
            "equation": self.wall.equation,
            "rows": [_row(r) for r in self.rows],
            "terms": [{"name": t.name, "value": x, "unit": t.unit} for t, x in self.terms],
            "assumptions": [asdict(a) for a in self.assumptions],
            "sources": [{"id": s, "citation": citation(s)} for s in self.wall.sources],
        }
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.evaluation.scenario.name,
            "status": self.evaluation.status,
            "wall": wall,
        }

    def text(self) -> str:
        """Return the wall as lines of at most 80 columns; addresses are never broken."""
        w, r = self.wall, self.reading
        lines = [f"Wall {w.number} {w.name} ({w.domain}): {_verdict(r)}"]
        lines += [*text.wrap(self.evaluation.scenario.name), ""]
        for clause in w.equation.split(";"):
            lines += _hanging(clause.strip())
        for row in self.rows:
            lines += ["", *text.wrap(row.note), *text.wrap(_comparison(row), "  ")]
        if not self.rows:
            lines += ["", *text.wrap(f"Does not apply: {r.note}.")]
        if self.terms:
            shown = [[t.name, _amount(x, t.unit)] for t, x in self.terms]
            lines += ["", "Terms", *(f"  {line}" for line in text.table(["", ""], shown)[1:])]
        if self.assumptions:
            lines += ["", "Assumed, where the plan is silent"]
            lines += [x for a in self.assumptions for x in _hanging(f"{a.name} {_given(a)}: {a.source}")]
        lines += ["", "Sources", *(x for s in w.sources for x in _hanging(f"{s}: {citation(s)}"))]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the wall as Markdown."""
        w = self.wall
        parts = [f"## Wall {w.number} {w.name} ({w.domain}): {_verdict(self.reading)}"]
        parts.append("```\n" + "\n".join(c.strip() for c in w.equation.split(";")) + "\n```")
        if self.rows:
            parts.append(
                markdown.table(
                    ("demand", "supply", "status", "headroom", "what"),
                    [(*_amounts(r), r.status, _room(r), r.note) for r in self.rows],
                )
            )
        else:
            parts.append(f"Does not apply: {self.reading.note}.")
        if self.terms:
            rows = [(t.name, _amount(x, t.unit)) for t, x in self.terms]
            parts.append(markdown.table(("term", "value"), rows))
        if self.assumptions:
            taken = [(a.name, _given(a), a.source) for a in self.assumptions]
            parts.append(markdown.table(("assumed", "value", "source"), taken))
        parts.append("\n".join(f"- `{s}`: {citation(s)}" for s in w.sources))
        return "\n\n".join(parts)


def view(evaluation: Evaluation, name: str) -> View:
    """Return one wall of an evaluation in each form.

    Raises:
        UnknownNameError: there is no such wall.
    """
    zoom = Zoom(evaluation, find(name))
    return View(zoom.to_dict, zoom.text, zoom.markdown, evaluation.exit_code)


def _at(state: Any, path: str) -> float | None:
    """Return a number of the state by its dotted name; None where any part of it is absent."""
    found = reduce(lambda x, name: getattr(x, name, None), path.split("."), state)
    return None if found is None or not math.isfinite(found) else float(found)


def _amount(x: float, unit: str) -> str:
    """Return a term's value; what people count in millions is stepped up to billions or trillions."""
    for step, prefix in ((1e12, "T"), (1e9, "G")):
        if unit in ("param", "token") and x >= step:
            return f"{text.number(x / step)} {prefix} {unit}"
    return text.amount(x, unit)


def _row(r: Reading) -> Json:
    keys = ("status", "demand", "supply", "unit", "headroom", "note")
    shown = r.to_dict()
    return {k: shown[k] for k in keys} | {"hard": r.hard}


def _amounts(r: Reading) -> tuple[str, str]:
    return text.amount(r.demand, r.unit), text.amount(r.supply, r.unit)


def _verdict(r: Reading) -> str:
    return r.status.upper() if r.status == "fail" else r.status


def _comparison(r: Reading) -> str:
    """Return ``3.475 s <= 3.490 s   binding  [##########] 0% left``."""
    demand, supply = _amounts(r)
    if r.supply is None:
        return f"{demand}   {_verdict(r)}: nothing limits it"
    sign = ">" if r.status == "fail" else "<="
    used = None if r.headroom is None else 1.0 - r.headroom
    return f"{demand} {sign} {supply}   {_verdict(r)}  {text.bar(used)} {_room(r)}".rstrip()


def _room(r: Reading) -> str:
    """Return the headroom; nothing where there is no supply at all."""
    return "" if r.headroom is None or not math.isfinite(r.headroom) else text.headroom(r.headroom)


def _given(a: Assumption) -> str:
    unit = "" if a.unit in ("", "1") else f" {a.unit}"
    return f"{text.number(a.value) if isinstance(a.value, int | float) else a.value}{unit}"


def _hanging(line: str) -> list[str]:
    """Return an item of a list, its further lines indented."""
    return textwrap.wrap(
        line,
        text.WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
