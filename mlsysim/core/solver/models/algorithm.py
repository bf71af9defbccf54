"""Models of the algorithm: training compute, test-time compute, and compression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

from mlsysim.core.errors import unknown
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.plan import Workload
from mlsysim.core.plan_blocks import ReasoningBlock
from mlsysim.core.scenario import Assumptions, Settings
from mlsysim.core.solver.models.base import LAYOUT, TRAINING, WORKLOAD, PlanModel, needed
from mlsysim.core.solver.models.node import REQUESTS
from mlsysim.physics import reasoning, scaling


class ScalingModel(PlanModel):
    """Operations, data and loss of a training run by the scaling laws (wall 11).

    Of a budget alone, the model and the tokens that suit it; of parameters and tokens, or of a plan,
    the run as it is. With the time and the tokens of a step, how long the run takes as well.
    """

    walls = (11,)
    ways = (("compute_budget",), ("parameters", "training_tokens"), ("model", "hardware", "batch_size"))
    options = (*TRAINING, *LAYOUT, "training_tokens", "scaling_fit", "step_time", "tokens_per_step")
    direct = ("scaling_fit", "step_time", "tokens_per_step")
    gives = (
        *("parameters", "training_tokens", "training_compute", "loss"),
        *("optimal_parameters", "optimal_tokens"),
    )
    phase = "training"

    def outputs(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return what comes out: the duration too, where a step's time and tokens are known."""
        timed = {"step_time", "tokens_per_step"} <= set(given)
        return (*self.gives, "duration") if timed else self.gives

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Ask the scaling laws."""
        params, tokens, fit = self._run(given, numbers, take)
        flops = scaling.training_flops(params, tokens)
        found = {
            "parameters": params,
            "training_tokens": tokens,
            "training_compute": flops,
            "loss": scaling.loss(params, tokens, fit),
            "optimal_parameters": scaling.optimal_params(flops, fit),
            "optimal_tokens": scaling.optimal_tokens(flops, fit),
        }
        if "duration" in self.outputs(given):
            step, each = numbers["step_time"], numbers["tokens_per_step"]
            found["duration"] = scaling.training_time(step, tokens, each)
        return found

    def _run(
        self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions
    ) -> tuple[Any, Any, scaling.Fit]:
        """Return parameters, tokens and the fit of the loss."""
        way = self.way(given)
        if way == self.ways[2]:
            e = self.evaluation(given)
            take.taken += e.scenario.assumptions
            run = needed(e, "scaling", 11)
            return run.params, run.tokens, run.fit
        name = given.get("scaling_fit", Settings.scaling_fit)
        fits = get_args(Workload.model_fields["scaling_fit"].annotation)
        if name not in fits:
            raise unknown("scaling law", str(name), fits).at("scaling_fit")
        fit = scaling.Fit(**{f.name: take.take(f"{name}_{f.name}") for f in fields(scaling.Fit)})
        if way == self.ways[1]:
            return numbers["parameters"], numbers["training_tokens"], fit
        ratio = take.take("compute_optimal_ratio", "token/param")
        return (*scaling.split_by_ratio(numbers["compute_budget"], ratio), fit)


class InferenceScalingModel(PlanModel):
    """The time of an answer that is thought about (wall 12).

    Given a time to the first token and between tokens, these are taken to hold with all samples
    running; a plan with several samples is evaluated with all of them.
    """

    walls = (12,)
    ways = (
        ("ttft", "itl", "reasoning_steps", "reasoning_tokens"),
        ("model", "hardware", "reasoning_steps", "reasoning_tokens"),
    )
    options = (*REQUESTS, "samples", "revisions", "verify")
    direct = ("samples", "revisions", "verify")
    gives = ("answer_time", "waited_tokens", "generated_tokens")

    def way(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the first way that is whole; the plan's where samples make the replica busier."""
        known = set(given)
        if "samples" in known and set(self.ways[1]) <= known:
            return self.ways[1]
        return super().way(known)

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Ask the physics of test-time compute."""
        if self.way(given) == self.ways[1]:
            return super().read(given, numbers, take)
        usual = ReasoningBlock.model_validate({"steps": 1, "tokens_per_step": 1})
        return _answer(
            reasoning.Chain(
                ttft=numbers["ttft"],
                itl=numbers["itl"],
                steps=numbers["reasoning_steps"],
                tokens_per_step=numbers["reasoning_tokens"],
                samples=numbers.get("samples", float(usual.samples)),
                revisions=numbers.get("revisions", float(usual.revisions)),
                verify=numbers.get("verify", 0.0),
            )
        )

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 12."""
        return _answer(needed(e, "reasoning", 12))


def _answer(chain: reasoning.Chain) -> dict[str, Any]:
    return {
        "answer_time": reasoning.answer_time(chain),
        "waited_tokens": reasoning.sequential_tokens(chain),
        "generated_tokens": reasoning.generated_tokens(chain),
    }


class CompressionModel(PlanModel):
    """What precision and sparsity take from accuracy, and what the format saves (wall 13)."""

    walls = (13,)
    ways = (("model", "hardware"),)
    options = ("batch_size", *WORKLOAD, "method", "weight_format", "sparsity")
    gives = ("accuracy_loss", "weight_memory", "latency")

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 13."""
        return {
            "accuracy_loss": needed(e, "compression", 13).loss,
            "weight_memory": e.state.state,
            "latency": e.state.time,
        }
