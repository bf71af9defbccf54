"""The tools that agents call: each is a command of the command line, with the same document as ``-o json``.

A tool is a function of plain data. It imports what it needs when it is called: the table is also read by
the process that only speaks the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlsysim.mcp import arguments as a
from mlsysim.mcp.arguments import Json, document
from mlsysim.mcp.limits import Limits

KINDS = ("hardware", "models", "infra", "systems", "walls")


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        name: by which it is called.
        about: what it does, for whoever chooses among tools.
        takes: its arguments, as JSON Schema by name; those without a default and in ``needs`` are asked for.
        needs: arguments that must be there.
        gives: of which kinds its result may be (:func:`mlsysim.core.schemas.results`); of any if empty.
        call: from its arguments to its result.
    """

    name: str
    about: str
    takes: Json
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    call: Callable[[Json], Json]

    @property
    def input_schema(self) -> Json:
        """The JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": self.takes,
            "required": list(self.needs),
            "additionalProperties": False,
        }

    def output_schema(self) -> Json:
        """Return the JSON Schema of its result."""
        from mlsysim.core.schemas import results

        if not self.gives:
            return {"type": "object"}
        schemas = results()
        kinds = [schemas[kind] for kind in self.gives]
        return kinds[0] if len(kinds) == 1 else {"type": "object", "anyOf": kinds}

    def filled(self, given: Json) -> Json:
        """Return arguments with the defaults of those that were left out."""
        return {k: s["default"] for k, s in self.takes.items() if "default" in s} | given


def evaluate(given: Json) -> Json:
    """Hold a plan against every wall, or against one of them at close range."""
    from mlsysim.core.api import evaluate_any
    from mlsysim.core.errors import InputError
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.wall_view import view

    found, wall = evaluate_any(document(given["plan"])), given.get("wall")
    if wall is None:
        return found.to_dict()
    if not isinstance(found, Evaluation):
        raise InputError("a wall is of plans with one job", where="wall", hint="leave it out")
    return view(found, wall).to_dict()


def evaluate_model(given: Json) -> Json:
    """Evaluate one inference step of a model on one accelerator."""
    from mlsysim.core.api import SystemEvaluator

    model, hardware, batch = given["model"], given["hardware"], given["batch_size"]
    found = SystemEvaluator.evaluate(
        "", model, hardware, batch, given.get("precision"), given["efficiency"], seq_len=given.get("seq_len")
    )
    return found.to_dict()


def serve(given: Json) -> Json:
    """Predict a service of a model on an accelerator."""
    from mlsysim.core.serve import serve

    return serve(**given).to_dict()


def parallelism(given: Json) -> Json:
    """Find the best layout of a training job."""
    from mlsysim.core.solver import optimizers

    return optimizers.parallelism(document(given.pop("plan")), **given).to_dict()


def placement(given: Json) -> Json:
    """Find the best region, or place a plan with several jobs."""
    from mlsysim.core.solver import optimizers
    from mlsysim.infra import CATALOG

    regions = tuple(CATALOG.find(name) for name in given.pop("regions"))
    found: Any = optimizers.placement(document(given.pop("plan")), regions=regions, **given)
    return dict(found.to_dict())


def batching(given: Json) -> Json:
    """Find the best deployment of a service."""
    from mlsysim.core.solver.batching import batching

    lists: Json = {k: tuple(given.pop(k)) for k in ("tp", "replicas", "precisions", "schedulers", "drafts")}
    return batching(document(given.pop("plan")), **lists, **given).to_dict()


def serving(given: Json) -> Json:
    """Find the best mix of accelerators for a mix of requests."""
    from mlsysim.core.solver.serving_mix import serving

    return serving(document(given.pop("plan")), **given).to_dict()


def explain(given: Json) -> Json:
    """Say why the best plan is what it is, or why there is none."""
    from mlsysim.core.solver.explain import explain

    return explain(document(given.pop("plan")), **given).to_dict()


def sensitivity(given: Json) -> Json:
    """Say what more and less of each supply is worth."""
    from mlsysim.core.solver import prices
    from mlsysim.core.solver.shares import share

    change = share(given.pop("change"), "change")
    return prices.sensitivity(document(given.pop("plan")), change=change, **given).to_dict()


def synthesis(given: Json) -> Json:
    """Find the least hardware on which a target is met."""
    from mlsysim.core.solver.designing import synthesis

    return synthesis(document(given.pop("plan")), **given).to_dict()


def zoo_list(given: Json) -> Json:
    """List what the registry holds of a kind."""
    from mlsysim.core.zoo import view

    return view(given["kind"], None, given["filter"], given["sort"]).to_dict()


def zoo_show(given: Json) -> Json:
    """Show one entry of the registry."""
    from mlsysim.core.zoo import view

    return view(given["kind"], given["name"]).to_dict()


def schema(given: Json) -> Json:
    """Return the JSON Schema of plans or results."""
    from mlsysim.core import schemas

    of = {"plan": schemas.plan_schema, "jobs": schemas.fleet_plan_schema, "result": schemas.result_schema}
    return of[given["of"]]()


def table(limits: Limits) -> dict[str, Tool]:
    """Return the tools by name; the limits bound what may be asked of a solver."""
    return {t.name: t for t in (*_forward(), *_best(limits), *_why(limits), *_about())}


def _forward() -> tuple[Tool, ...]:
    model = {"model": a.text("A model of the zoo."), "hardware": a.text("An accelerator of the zoo.")}
    precision = a.text("Number format, e.g. bf16, fp8, int8.")
    return (
        Tool(
            "eval",
            "Hold a plan (training, inference, or several jobs) against the 22 walls of ML systems: does it "
            "fit, how fast is it, what does it cost and emit, which limit does it break.",
            {"plan": a.PLAN, "wall": a.text("Only this wall, at close range: number or name.")},
            ("plan",),
            ("plan", "wall", "jobs"),
            evaluate,
        ),
        Tool(
            "eval_model",
            "Evaluate one inference step of a model on one accelerator, without a plan.",
            {
                **model,
                "batch_size": a.whole("Sequences or samples.", default=1, maximum=1_000_000_000),
                "precision": precision,
                "efficiency": {
                    "type": ["number", "string"],
                    "default": "auto",
                    "description": "Share of the peak that matrix work reaches, or auto.",
                },
                "seq_len": a.whole("Context of each sequence [tokens].", maximum=100_000_000),
            },
            ("model", "hardware"),
            ("plan",),
            evaluate_model,
        ),
        Tool(
            "serve",
            "Predict latency, tails under load, throughput and cost of a language model that answers "
            "requests.",
            {
                **model,
                "qps": a.number("Requests a second, all replicas together."),
                "prompt": a.number("Tokens of a prompt, on average."),
                "output": a.number("Tokens of an answer, on average."),
                "batch": a.whole("Requests that a replica works on at once; what fits if absent."),
                "tp": a.whole("Accelerators of a replica.", default=1),
                "replicas": a.whole("Copies of the model.", default=1),
                "precision": precision,
                "draft": a.text("A model that guesses ahead."),
                "region": a.text("Where, for cost and carbon."),
            },
            ("model", "hardware"),
            ("plan",),
            serve,
        ),
    )


def _best(limits: Limits) -> tuple[Tool, ...]:
    how = a.solving(limits)
    return (
        Tool(
            "optimize_parallelism",
            "Find the provably best layout of a training plan: degrees of parallelism, microbatch, "
            "recompute, sharding, precision. Objectives: time, mfu, training-time, cost, energy, carbon, "
            "cost+carbon, accelerators.",
            {"plan": a.PLAN, "objective": a.OBJECTIVE, "carbon_tax": a.CARBON_TAX, "top": a.TOP, **how}
            | {"emit": a.text("Launch settings as well: plan, megatron, nemo, torchtitan, deepspeed.")},
            ("plan",),
            ("plan",),
            parallelism,
        ),
        Tool(
            "optimize_placement",
            "Find the region where a plan costs least, with a carbon tax; or place a plan with several jobs "
            "over its regions and hours.",
            {
                "plan": a.PLAN,
                "carbon_tax": {
                    "type": ["number", "string"],
                    "default": 0,
                    "description": "USD per tonne of CO2e, or a range: '0:300'.",
                },
                "water_price": a.number("USD per 1,000 litres.", default=0),
                "pareto": a.text("The frontier of these: 'cost,carbon' or 'cost,carbon,water'.", default=""),
                "points": a.whole("How many plans of the frontier at most.", default=20, maximum=1000),
                "regions": a.several("Candidates; all if empty.") | {"default": []},
                "top": a.TOP,
                **how,
            },
            ("plan",),
            ("plan", "jobs"),
            placement,
        ),
        Tool(
            "optimize_batching",
            "Find the batch, tensor parallelism and replicas with which a service carries its load for the "
            "least money within its latency targets. Objectives: cost, throughput, carbon, cost+carbon, "
            "latency.",
            {
                "plan": a.PLAN,
                "qps": a.number("Requests a second; the plan's if absent."),
                "sla_ms": a.number("Target for the P99 of the whole answer [ms]."),
                "ttft_ms": a.number("Target for the P99 of the first token [ms]."),
                "itl_ms": a.number("Target for the time between tokens [ms]."),
                "objective": a.OBJECTIVE | {"default": "cost"},
                "carbon_tax": a.CARBON_TAX,
                "tp": a.several("Accelerators of a replica to try.", "integer") | {"default": []},
                "replicas": a.several("Replicas to try.", "integer") | {"default": []},
                "precisions": a.several("Number formats to try.") | {"default": []},
                "schedulers": a.several("prefill_first, chunked.") | {"default": []},
                "drafts": a.several("Models that may guess ahead.") | {"default": []},
                "top": a.TOP,
                **how,
                "emit": a.text("Settings of an engine as well: plan, vllm, sglang, tensorrt-llm."),
            },
            ("plan",),
            ("plan",),
            batching,
        ),
        Tool(
            "optimize_serving",
            "Find how many of which accelerators serve a plan's mix of requests at least cost. Objectives: "
            "cost, carbon, cost+carbon.",
            {
                "plan": a.PLAN,
                "objective": a.OBJECTIVE | {"default": "cost"},
                "carbon_tax": a.CARBON_TAX,
                **a.solving(limits, solvers=("auto", "highs", "scip")),
                "gap": a.number("Relative gap of an optimum; by the size of the problem if absent."),
            },
            ("plan",),
            ("mix",),
            serving,
        ),
    )


def _why(limits: Limits) -> tuple[Tool, ...]:
    asked = {"plan": a.PLAN, "objective": a.OBJECTIVE, "carbon_tax": a.CARBON_TAX, **a.solving(limits)}
    return (
        Tool(
            "explain",
            "Say why the best layout of a training plan is what it is; or, where nothing fits, which limits "
            "cannot hold together, and ways out, each tried.",
            asked,
            ("plan",),
            ("explanation",),
            explain,
        ),
        Tool(
            "solve_sensitivity",
            "Say what more and less of each supply (memory, bandwidth, ...) is worth, planned anew.",
            asked
            | {
                "supplies": a.several("Only these; all if absent."),
                "change": a.text("By how much each is changed: 10% or 0.1.", default="10%"),
            },
            ("plan",),
            ("sensitivity",),
            sensitivity,
        ),
        Tool(
            "solve_synthesis",
            "Find the least hardware on which a target is met, and the nearest accelerator of the zoo.",
            {
                "plan": a.PLAN,
                "target": a.text("e.g. 'performance.latency <= 10 s'; the plan's if absent."),
                "weigh": {
                    "type": "object",
                    "description": "What a supply weighs, e.g. {peak: 3}.",
                    "additionalProperties": {"type": "number"},
                    "maxProperties": 50,
                },
                **a.solving(limits),
            },
            ("plan",),
            ("synthesis",),
            synthesis,
        ),
    )


def _about() -> tuple[Tool, ...]:
    kind = {"enum": list(KINDS), "description": "What to look at."}
    return (
        Tool(
            "zoo_list",
            "List the models, accelerators, regions, systems or walls that plans can name.",
            {
                "kind": kind,
                "filter": a.text("Only entries whose name, group or title contains this.", default=""),
                "sort": a.text("Column to sort by; a leading '-' reverses.", default=""),
            },
            ("kind",),
            (),
            zoo_list,
        ),
        Tool(
            "zoo_show",
            "Show one entry in full, every number with its unit and source.",
            {"kind": kind, "name": a.text("The entry.")},
            ("kind", "name"),
            (),
            zoo_show,
        ),
        Tool(
            "schema",
            "Return the JSON Schema of a plan, of a plan with several jobs, or of results.",
            {"of": {"enum": ["plan", "jobs", "result"], "default": "plan", "description": "Of what."}},
            (),
            (),
            schema,
        ),
    )
