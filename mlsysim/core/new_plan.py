"""New plans, with comments: what a beginner fills in, and what can be added."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlsysim.core import yamlfile
from mlsysim.core.api import evaluate_any
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.plan import load

if TYPE_CHECKING:
    from mlsysim.core.registry import Catalog

KINDS = {
    "training": "a training job: memory, step time, cost, carbon",
    "inference": "one pass of a model on one accelerator",
    "serving": "a language model that answers requests",
    "mix": "several kinds of requests, and accelerators to choose from",
    "fleet": "several jobs over regions and hours",
}
SIZES = (8, 64, 512, 4096)  # accelerators to try, of a training job
REPLICAS = (1, 2, 4, 8)  # of a replica
DAYS = 30.0
NEXT = {"mix": "optimize serving"}  # what to run first, where that is not eval
SCHEMA_FOLDER = ".mlsysim"


@dataclass(frozen=True)
class Wish:
    """What a new plan is of; None is chosen by :func:`plan`.

    Attributes:
        kind: one of :data:`KINDS`.
        model: of the zoo.
        hardware: an accelerator of the zoo.
        accelerators: how many.
        region: of the zoo.
        days: how long; one for several jobs.
    """

    kind: str = "training"
    model: str = "Llama3_8B"
    hardware: str = "H100"
    accelerators: int | None = None
    region: str = "Virginia"
    days: float | None = None


def checked(w: Wish) -> Wish:
    """Return a wish with names as the zoo has them.

    Raises:
        InputError: a name or number is not allowed.
    """
    from mlsysim import hardware, infra, models

    if w.kind not in KINDS:
        raise unknown("kind of plan", w.kind, KINDS).at("kind")
    names: dict[str, Any] = {}
    catalogs: dict[str, Catalog[Any]] = {
        "model": models.CATALOG,
        "hardware": hardware.CATALOG,
        "region": infra.CATALOG,
    }
    for key, catalog in catalogs.items():
        try:
            names[key] = catalog.find(getattr(w, key))
        except InputError as error:
            raise error.at(key) from error
    if w.days is not None and not 0 < w.days <= 36_525:
        raise InputError(f"{w.days:g} is not allowed here", where="days", hint="above 0, at most 36525")
    return replace(w, **names)


def plan(w: Wish, schema: str | None = None) -> tuple[str, str]:
    """Return the text of a plan, and its status as it stands.

    Where the wish does not say how many accelerators, they are the fewest of some usual numbers with which
    the plan fits.

    Args:
        w: what it is of.
        schema: where an editor finds the plan's schema, relative to the plan; no such line if absent.

    Raises:
        InputError: the wish cannot be evaluated at all.
    """
    w = checked(w)
    text = status = ""
    for accelerators, tp in _sizes(w):
        text = _text(replace(w, accelerators=accelerators), tp)
        status = _status(w.kind, text)
        if status != "fail":
            break
    head = f"# yaml-language-server: $schema={schema}\n" if schema else ""
    return head + text, status


def _status(kind: str, text: str) -> str:
    """Return the status of a plan as it stands; one with a mix is judged by ``optimize serving`` alone."""
    document = yamlfile.load(text, "")
    if kind == "mix":
        load(document)
        return "pass"
    return evaluate_any(document).status


def _sizes(w: Wish) -> list[tuple[int, int]]:
    """Return what to try: accelerators, and those of a replica."""
    n = w.accelerators
    if w.kind == "serving":
        return [(n or tp, tp) for tp in REPLICAS if not n or n % tp == 0]
    if n is not None:
        return [(n, 1)]
    return [(size, 1) for size in SIZES] if w.kind == "training" else [(1, 1)]


def _text(w: Wish, tp: int) -> str:
    body = {"training": TRAINING, "inference": INFERENCE, "serving": SERVING, "mix": MIX, "fleet": FLEET}
    n = w.accelerators or 1
    filled = {
        "model": w.model,
        "hardware": w.hardware,
        "accelerators": n,
        "tp": tp,
        "region": w.region,
        "days": f"{w.days or DAYS:g}",
        "batch": 16 * n,
        "hours": max(1, round(24 * (w.days or 1))),
        "pool": max(8, n),
        "elsewhere": "Virginia" if w.region == "Quebec" else "Quebec",
        "other": "L4" if w.hardware == "L40S" else "L40S",
    }
    return re.sub(r"<(\w+)>", lambda found: str(filled[found[1]]), body[w.kind])


def schema_name(kind: str) -> str:
    """Return the name of the schema's file for a kind of plan."""
    return "fleet.schema.json" if kind == "fleet" else "plan.schema.json"


TRAINING = """\
# A training job. Try:
#   mlsysim eval FILE  # does it fit, how fast, what does it cost and emit
#   mlsysim optimize parallelism FILE  # the best layout, with proof
#   mlsysim explain FILE  # why, or what cannot hold
version: "1.0"
workload:
  name: "<model>" # mlsysim zoo models; a config.json or hf://org/name does as well
  batch_size: <batch> # sequences a step, all accelerators together
  seq_len: 2048 # tokens
  # precision: bf16 # or fp8, fp16, ...
  # training_tokens: 15e12 # asks whether the whole run ends in time
hardware:
  name: "<hardware>" # mlsysim zoo hardware
  accelerators: <accelerators>
ops:
  region: "<region>" # mlsysim zoo infra
  duration_days: <days>
  # ownership: rent # own is the default
# parallelism: # what is left out is chosen: by a rule in eval, by the solver in optimize
#   tp: 8
#   pp: {min: 1, max: 4}
# constraints: # what is asked of the plan; optimize keeps them where it can
#   budget: "1 MUSD"
#   carbon: "100 tCO2e"
#   assert:
#     - {metric: performance.mfu, min: 0.4}
"""
INFERENCE = """\
# One pass of a model on one accelerator. Try:
#   mlsysim eval FILE
version: "1.0"
workload:
  name: "<model>" # mlsysim zoo models; a config.json or hf://org/name does as well
  phase: inference
  batch_size: 1 # sequences or samples at once
  # precision: fp8 # the accelerator's usual one if left out
hardware:
  name: "<hardware>" # mlsysim zoo hardware
ops:
  region: "<region>" # mlsysim zoo infra
  duration_days: <days>
# constraints: # what is asked of the plan
#   assert:
#     - {metric: performance.latency, max: "20 ms"}
"""
SERVING = """\
# A language model that answers requests. Try:
#   mlsysim eval FILE  # latency, tails, KV cache, cost
#   mlsysim optimize batching FILE  # best batch, fewest accelerators
version: "1.0"
workload:
  name: "<model>" # mlsysim zoo models; a config.json or hf://org/name does as well
  phase: inference
  # precision: fp8 # the accelerator's usual one if left out
hardware:
  name: "<hardware>" # mlsysim zoo hardware
  accelerators: <accelerators>
ops:
  region: "<region>" # mlsysim zoo infra
  duration_days: <days>
serving:
  prompt: 500 # tokens, on average
  output: 200 # tokens, on average
  requests: 8 # answers that a replica writes at once
  tp: <tp> # accelerators of a replica; more of them are more replicas
queue:
  rate: 0.5 # requests a second, all replicas together
# constraints: # what is asked of the service
#   ttft_tail: "1 s" # 99 of 100 answers begin by then, wait included
#   itl: "50 ms" # between tokens
#   tail: "20 s" # 99 of 100 answers are complete by then
"""
MIX = """\
# Several kinds of requests, and accelerators to choose from. Try:
#   mlsysim optimize serving FILE  # how many of which, and who answers what
version: "1.0"
workload:
  name: "<model>" # mlsysim zoo models
  phase: inference
  batch_size: 8
  seq_len: 2048
hardware:
  name: "<hardware>" # mlsysim zoo hardware
ops:
  region: "<region>" # mlsysim zoo infra
  ownership: rent
  duration_days: <days>
mix:
  classes: # tokens in and out, requests a second, targets
    - {name: chat, prompt: 500, output: 250, rate: 10, ttft: "2 s", itl: "100 ms"}
    - {name: documents, prompt: 4000, output: 300, rate: 1, ttft: "10 s"}
  accelerators: # rents are the registry's unless `price` says another
    - {name: "<hardware>"}
    - {name: "<other>"}
    # - {name: "A100", available: 4}
  tp: [1, 2, 4]
"""
FLEET = """\
# Several jobs over regions and hours. Try:
#   mlsysim eval FILE  # as they run today
#   mlsysim optimize placement FILE --carbon-tax 100  # what should run where and when
version: "1.0"
ops:
  start: "2025-03-04T00:00" # on the clock of:
  timezone: "UTC"
  hours: <hours>
regions: # mlsysim zoo infra
  - {name: "<region>", capacity: {<hardware>: <pool>}}
  - {name: "<elsewhere>", capacity: {<hardware>: <pool>}}
jobs:
  - name: "nightly"
    accelerator_hours: 16 # of work
    hardware: [{name: "<hardware>", accelerators: 4}]
    may: pause # or rigid, move, split
    # deadline: "2025-03-04T20:00"
    now: "<region>" # where it runs today
  - name: "backfill"
    accelerator_hours: 40
    hardware: [{name: "<hardware>", accelerators: 8}]
    may: move
    now: "<region>"
# constraints: # of all jobs together
#   carbon: "1 tCO2e"
"""
