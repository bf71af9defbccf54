"""What the users of a service see, and what it costs: the top of the scorecard of ``serve``."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from mlsysim.core import scorecard, text, units
from mlsysim.physics import occupancy

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation

PERCENTILES = (50, 95, 99)


def render(e: Evaluation) -> str:
    """Return a service as lines of at most 80 columns: latency, throughput, money, walls."""
    s = e.scenario
    head = f"{s.model.name} served on {s.accelerators} x {s.hardware.name}, {s.region.name}"
    holds = f"holds: {'yes' if e.status == 'pass' else 'NO'}"
    fits = len(head) + len(holds) <= text.WIDTH - 2
    lines = [head + holds.rjust(text.WIDTH - len(head))] if fits else text.wrap(f"{head}  {holds}")
    lines += [*text.wrap(describe(e)), "", *text.table(*latency(e), right=(1, 2, 3, 4), gap=3), ""]
    lines += text.table(["", "", ""], rest(e), right=(1,), gap=3)[1:]
    return "\n".join([*lines, "", *scorecard.walls_table(e.walls), *scorecard.verdicts(e)])


def markdown(e: Evaluation) -> str:
    """Return the same as Markdown."""
    from mlsysim.core import markdown as md

    header, rows = latency(e)
    tables = md.table(header, rows), md.table(("", "value", "note"), rest(e))
    return "\n\n".join([describe(e), *tables, md.evaluation(e, level=3)])


def describe(e: Evaluation) -> str:
    """Return how a service runs, in a sentence."""
    state, s = e.state, e.scenario
    service, block = state.serving, s.settings.blocks.get("serving", {})
    assert service is not None
    count = float(occupancy.replicas(service, state.accelerators, state.tensor_ranks))
    prompt = "" if state.batching is None else f"prompts of {state.batching.lengths.prompt:.4g} tokens, "
    draft = f", guesses by {block['draft'].model}" if block.get("draft") is not None else ""
    several = f" ({service.instances:g} instances each)" if float(service.instances) > 1 else ""
    return (
        f"{count:g} replica{'s' * (count != 1)} of tp {state.tensor_ranks:g}{several}, "
        f"{service.places:g} requests at once on each; {prompt}"
        f"answers of {service.output:.4g}; {s.precision}, "
        f"{block.get('scheduler', 'prefill_first').replace('_', ' ')}{draft}"
    )


def latency(e: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Return times as a table: once admitted, and by percentile under load."""
    loaded = e.state.queue is not None
    columns = [f"P{p}" for p in PERCENTILES] if loaded else []
    header = ["with full batches", "no wait", *columns]

    def row(title: str, own: float, name: str) -> list[str]:
        under_load = [e.metric(f"performance.{name}_p{p}") for p in PERCENTILES] if loaded else []
        return [title, *(text.amount(x, "ms") if isfinite(x) else "without end" for x in (own, *under_load))]

    service = e.state.serving
    assert service is not None
    whole = units.from_base(float(occupancy.place_time(service)), "ms")
    between = ["time between tokens", text.amount(e.metric("performance.itl"), "ms")]
    return header, [
        row("time to first token", e.metric("performance.ttft"), "ttft"),
        between + [""] * len(columns),
        row("whole answer", whole, "response"),
    ]


def rest(e: Evaluation) -> list[list[str]]:
    """Return throughput, cache and money as rows of title, amount and remark."""
    state, m = e.state, e.metric
    service = state.serving
    assert service is not None
    rows = [
        [
            "throughput",
            text.amount(m("performance.token_capacity"), "token/s"),
            f"{text.number(m('performance.request_capacity'))} requests/s, batches full",
        ]
    ]
    if state.queue is not None:
        rate = text.number(float(state.queue.rate))
        running = text.number(m("performance.running"))
        note = f"at {rate} requests/s: {running} of {service.places:g} run at once"
        rows.append(["capacity used", text.amount(m("performance.utilization"), "1"), note])
    if state.batching is not None:
        held = text.number(m("feasibility.kv_requests"))
        rows.append(
            ["KV cache", f"{text.number(m('feasibility.kv_tokens'))} tokens", f"a replica: {held} requests"]
        )
    at = "this load" if state.queue is not None else "full batches"
    cost, carbon = m("macro.usd_per_million_served"), m("macro.gco2e_per_million_served")
    rows.append(["cost", text.amount(cost, "USD"), f"a million generated tokens, at {at}"])
    rows.append(["carbon", f"{text.number(carbon)} gCO2e", "a million generated tokens"])
    return rows
