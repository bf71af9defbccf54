"""Tier 3: the largest batch that is safe, and the deployment that serves a load best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

from mlsysim.core import registry, text, units
from mlsysim.core.api import PlanLike, placing, scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, Json, evaluate
from mlsysim.core.plan_blocks import DraftBlock, QueueBlock
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.serve import checked
from mlsysim.core.service_variants import EVERY, Way
from mlsysim.core.serving_metrics import soonest
from mlsysim.core.solver.asked import Asked, How, asked, module
from mlsysim.core.solver.objectives import Goal
from mlsysim.core.solver.optimization import Objective, Optimization
from mlsysim.core.solver.placing import one_tax
from mlsysim.core.solver.search import Found, Search
from mlsysim.core.solver.service_goals import service_goal, ties
from mlsysim.core.states import replica

SCHEDULERS = ("prefill_first", "chunked")


def batching(
    plan: PlanLike,
    *,
    qps: float | None = None,
    sla_ms: float | None = None,
    ttft_ms: float | None = None,
    itl_ms: float | None = None,
    objective: str = "cost",
    carbon_tax: float = 0.0,
    tp: tuple[int, ...] = (),
    replicas: tuple[int, ...] = (),
    precisions: tuple[str, ...] = (),
    schedulers: tuple[str, ...] = (),
    drafts: tuple[str, ...] = (),
    emit: str | None = None,
    **how: Unpack[How],
) -> Optimization:
    """Return the best deployment of a service under load, proven, and the largest batch safe on it.

    Decided are the requests that a replica works on at once, its accelerators, the replicas (on at
    most as many accelerators as the plan has), and among the ways to run that are allowed. For the
    same money the deployment that carries most is returned.

    Args:
        plan: a path, a mapping or a plan, of inference.
        qps: requests a second; that of the plan's ``queue`` if absent.
        sla_ms: target for the whole answer at the percentile; the plan's ``tail`` if absent [ms].
        ttft_ms: target for the first token at the percentile, wait included [ms].
        itl_ms: target for the time between tokens [ms].
        objective: one of :data:`mlsysim.core.solver.service_goals.NAMES`.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        tp: accelerators of a replica to choose from; the plan's if it has them, or else all that may be.
        replicas: numbers of replicas to choose from; all if empty.
        precisions: number formats to choose from; the plan's if empty.
        schedulers: to choose from; the plan's if it names one, or else ``prefill_first`` and ``chunked``.
        drafts: models that may guess ahead; the plan's if empty.
        emit: also hand the answer over as settings of a serving engine.
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan is wrong, or not one of a service with a load.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    wanted = service_goal(objective, one_tax(carbon_tax), carbon_tax)
    ask = asked(how)
    if emit is not None:
        from mlsysim.handover.serving import check_engine

        check_engine(emit)
    with placing(plan):
        s = _asked_for(scenario(plan), qps, sla_ms, ttft_ms, itl_ms)
        before = checked(evaluate(s))
        if before.state.queue is None:
            raise InputError(
                "the plan says no load", where="queue", hint="give --qps, or a queue with a rate"
            )
        ways = ways_to_run(s, precisions, schedulers, drafts)
        recipe = module("batching").formulate(
            s,
            ways,
            wanted.cost,
            ties(objective),
            bounds=s.settings.bounds,
            tp=tp or _sizes(s),
            replicas=replicas,
        )
        search = Search(
            recipe.problem,
            ask,
            s,
            before.state,
            decode=lambda cells: evaluate(recipe.decode(cells)[0]),
            value=lambda e: float(wanted.cost(e.state)),
        )
        found = _nearest(search.run(), search, recipe)
    decided: Json = {}
    notes = _notes(s, recipe, found)
    if found.evaluation is not None:
        decided = decisions(found.evaluation)
        decided["largest_safe_requests"] = None if found.dropped else _largest(found, recipe, ask)
    others = [decisions(e) | wanted.told(search.value(e)) for e in found.others]
    answer = _optimization(search, found, before, decided, wanted, others, notes)
    if emit is not None and found.evaluation is not None:
        from mlsysim.handover.serving import emit_service

        answer = replace(answer, handover=emit_service(found.evaluation, emit))
    return answer


def _asked_for(
    s: Scenario, qps: float | None, sla_ms: float | None, ttft_ms: float | None, itl_ms: float | None
) -> Scenario:
    """Return the scenario with a load and targets of its own."""
    t = s.settings
    if s.job is not None:
        raise InputError(
            "optimize batching needs a plan of inference",
            where="workload.phase",
            hint="set workload.phase: inference",
        )
    limits, blocks, given = t.limits, t.blocks, t.given
    for name, value in (("tail", sla_ms), ("ttft_tail", ttft_ms), ("itl", itl_ms)):
        if value is not None:
            limits = replace(limits, **{name: units.to_base(_positive(name, value), "ms", "s")})
    if qps is not None:
        old = given.get("queue", {})
        block = QueueBlock.model_validate({**old, "rate": float(_positive("qps", qps))})
        blocks = blocks | {"queue": dict(block)}
        given = given | {"queue": {**old, "rate": float(qps)}}
    if limits == t.limits and blocks is t.blocks:
        return s
    return resolve(replace(t, limits=limits, blocks=blocks, given=given))


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e12:
        raise InputError(f"{value!r} is not allowed here", where=name, hint="give a number above 0")
    return float(value)


def ways_to_run(
    s: Scenario, precisions: tuple[str, ...], schedulers: tuple[str, ...], drafts: tuple[str, ...]
) -> tuple[Way, ...]:
    """Return the ways to run that are allowed: what the plan says, unless more is asked for."""
    block, given = s.settings.blocks.get("serving", {}), s.settings.given.get("serving", {})
    own = given.get("scheduler")
    chosen = schedulers or ((own,) if own else SCHEDULERS)
    for name in chosen:
        if name not in (*SCHEDULERS, "disaggregated"):
            raise InputError(
                f"{name!r} is no scheduler", where="scheduler", hint=f"give {', '.join(SCHEDULERS)}"
            )
    for name in precisions:
        try:
            s.hardware.rate(name)  # says which there are
        except InputError as error:
            raise error.at("precision") from error
    guesses: list[Any] = [None, *(DraftBlock(model=name) for name in drafts)]
    if not drafts and block.get("draft") is not None:
        guesses = [block["draft"]]
    own_budget = block.get("token_budget")
    usual = [int(registry.default(f"{kind}token_budget", "token").base) for kind in ("", "strict_")]
    budgets = usual if own_budget is None else [own_budget]
    return tuple(
        Way(precision, scheduler, budget, draft)
        for precision in (precisions or (s.precision,))
        for scheduler in chosen
        for budget in (budgets if scheduler == "chunked" else [None])
        for draft in guesses
    )


def _sizes(s: Scenario) -> tuple[int, ...]:
    """Return the accelerators of a replica that the plan allows; all if it says none."""
    tp = s.settings.given.get("serving", {}).get("tp")
    return () if tp is None else (int(tp),)


def decisions(e: Evaluation) -> Json:
    """Return what was decided of a service."""
    s = e.scenario
    tp, requests = replica(s)
    block = s.settings.blocks["serving"]
    service = e.state.serving
    assert service is not None
    draft = block.get("draft")
    return {
        "requests": int(requests),
        "tp": int(tp),
        "replicas": round(s.accelerators / float(tp * service.instances)),
        "accelerators": s.accelerators,
        "precision": s.precision,
        "scheduler": block.get("scheduler", "prefill_first"),
        "token_budget": block.get("token_budget"),
        "draft": None if draft is None else draft.model,
    }


def _nearest(found: Found, search: Search, recipe: Any) -> Found:
    """Return the answer where no target had to be given up; else the cheapest that answers soonest.

    Without its targets the most throughput would be the slowest answers.
    """
    from formulations.algebra import as_expr
    from formulations.infeasible import without

    if found.evaluation is None or not found.dropped:
        return found
    problem = replace(
        without(search.problem, set(found.dropped), hard=False), ties=(as_expr(recipe.table(soonest)),)
    )
    again = replace(search, problem=problem, ask=replace(search.ask, export=None), given_up=found.dropped)
    return replace(again.run(), dropped=found.dropped, conflict=found.conflict)


def _largest(found: Found, recipe: Any, ask: Asked) -> int:
    """Return the largest batch with which the deployment found keeps all that it keeps, proven.

    The problem again with everything else as decided and every whole batch a candidate, and the
    batch itself made greatest.
    """
    at = int(found.solved.outcome.cells[recipe.choice][0])
    row = {name: int(column[at]) for name, column in recipe.choice.columns.items()}
    alone = module("batching").formulate(
        recipe.scenario,
        (recipe.ways[row["way"]],),
        lambda state: -recipe_requests(state),
        bounds=recipe.scenario.settings.bounds,
        tp=(row["tp"],),
        replicas=(row["replicas"],),
        every=True,
    )
    search = Search(
        alone.problem,
        replace(ask, top=1, export=None),
        recipe.scenario,
        found.evaluation.state,  # type: ignore[union-attr]
        decode=lambda cells: evaluate(alone.decode(cells)[0]),
        value=lambda e: -float(recipe_requests(e.state)),
    )
    largest = search.run().evaluation
    assert largest is not None
    return int(recipe_requests(largest.state))


def recipe_requests(state: Any) -> Any:
    """Return the requests that a replica works on at once: what its instances for decode do."""
    return state.samples * state.tensor_ranks / state.accelerators


def _notes(s: Scenario, recipe: Any, found: Found) -> tuple[str, ...]:
    notes = [f"at most {s.accelerators} accelerators, as the plan has them"]
    if max(recipe.choice.columns["requests"]) > EVERY:
        notes.append(f"batches above {EVERY} are tried in steps of 2%; the largest safe one is exact")
    if found.evaluation is None and any(c.wall == 7 for c in found.conflict):
        most = recipe.most()
        if most is not None:
            asked = s.settings.blocks["queue"]["rate"]
            notes.append(f"the fleet carries at most {text.number(most)} requests/s of {text.number(asked)}")
    unknown = {way.precision for way in recipe.ways} - {s.precision}
    if found.evaluation is not None and found.evaluation.state.compression is None and unknown:
        notes.append(f"no published table says what {found.evaluation.scenario.precision} costs in accuracy")
    return tuple(notes)


def _optimization(
    search: Search,
    found: Found,
    before: Evaluation,
    decided: Json,
    wanted: Goal,
    alternatives: list[Json],
    notes: tuple[str, ...],
) -> Optimization:
    o = found.solved.outcome
    stable = before.state.queue is not None and before.feasible
    was = wanted.shown(search.value(before)) if stable else None
    value, bound = (wanted.shown(x) for x in (o.objective, o.bound))
    return Optimization(
        "batching",
        found.evaluation or before,
        before,
        o.status,
        Objective(wanted.metric, wanted.title, wanted.unit, was, value, bound, found.solved.gap),
        decided,
        found.solved,
        search.problem,
        search.scenario,
        found.dropped,
        found.conflict,
        tuple(alternatives),
        notes,
        found.confirmed_by,
    )
