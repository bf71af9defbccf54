"""Reports of what is worked out about a plan: frontiers, prices, explanations, hardware for a target."""

from __future__ import annotations

from typing import Any

from mlsysim.core.errors import InputError
from mlsysim.report import evaluated
from mlsysim.report.blocks import Block, Plot, Report, Section, Verbatim
from mlsysim.viz.kinds import kinds

TITLES = {
    "Pareto": "Frontier",
    "Prices": "Sensitivity",
    "Explanation": "Why",
    "Design": "Synthesis",
}
VERDICTS = {0: "holds", 2: "infeasible, proven", 3: "limits of the plan violated"}


def report(result: Any) -> Report:
    """Return the report of such a result: its text, its plots, and the plan that it is about."""
    kind = type(result).__name__
    evaluation = _evaluation(result)
    scenario = evaluation.scenario if evaluation is not None else _scenario(result)
    blocks: list[Block] = [Verbatim(result.scorecard(), "the answer", copied=False)]
    drawn = [Plot(draw, TITLES[kind]) for draw in _drawn(result)]
    found = [Section("Answer", blocks), Section("Plots", drawn, brief=False)]
    if evaluation is not None:
        found += evaluated.sections(evaluation)
    verdict = VERDICTS.get(result.exit_code, str(result.exit_code))
    return Report(f"{TITLES[kind]}: {scenario.name}", verdict, result.exit_code == 0, (), found)


def _drawn(result: Any) -> list[Any]:
    """Return the plots that there are: of no points and no effects there is none."""
    found = []
    for draw in kinds(result).values():
        try:
            made = draw()
        except InputError:
            continue
        found.append(lambda made=made: made)
    return found


def _evaluation(result: Any) -> Any:
    """Return the evaluation of the plan that the result is about, if it is about one."""
    base = getattr(result, "base", None)
    return base.evaluation if base is not None else getattr(result, "now", None)


def _scenario(result: Any) -> Any:
    question = getattr(result, "question", None)
    return result.scenario if question is None else question.scenario
