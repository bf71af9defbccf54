"""The deployment of a service, in mathematics."""

from __future__ import annotations

from formulations.statements.base import Decision, Formula, Named, RowOf, Statement

_SERVICE = "mlsysim.physics.serving:Service."
_STATION = "mlsysim.physics.queueing:Station."

STATEMENT = Statement(
    name="batching",
    title="The deployment of a service",
    command="mlsysim optimize batching",
    guide="serving.md",
    modules=("formulations.batching",),
    asks="How many requests run at once, on how many accelerators, and how, so that a load is carried "
    "within its targets?",
    sets=(
        Named("N", "mlsysim.core.scenario:Scenario.accelerators", "the most accelerators that there are"),
        Named(r"\lambda", _STATION + "rate", "requests a second", "1/s"),
    ),
    decisions=(
        Decision(
            "k",
            "deployment",
            "a way to run, the accelerators of a replica, its batch, and the replicas",
            (
                Named("g", "way", "number of the way to run: precision, scheduler, draft model"),
                Named("t", "tp", "accelerators of a replica"),
                Named("q", "replicas", "copies of the model"),
                Named("N_k", "accelerators", "in use: $t q$, times the instances that a scheduler needs"),
                Named("m", "requests", "that a replica works on at once"),
            ),
        ),
    ),
    tables=(
        Named("F_k", _SERVICE + "ttft", "time to the first token once admitted", "s"),
        Named("I_k", _SERVICE + "itl", "time between tokens, the batch full", "s"),
        Named("B_k", "mlsysim.physics.kvcache:demand_blocks", "KV blocks of the running requests"),
        Named(
            "R_k(P)", "mlsysim.physics.queueing:response_quantile", "response time at the percentile $P$", "s"
        ),
        Named(
            r"\kappa_k",
            "mlsysim.core.serving_metrics:capacity",
            "requests a second with all batches full",
            "1/s",
        ),
    ),
    derived=(),
    objectives=(
        Formula(
            "`cost` and `carbon` of a million tokens at the load, `latency`, and `throughput` for the money:",
            r"\min \sum_k Z_k x_k, \qquad \min \sum_k Q_k x_k, \qquad \min \sum_k R_k(0.99) x_k, \qquad"
            r" \max \sum_k \frac{\kappa_k}{Z_k} x_k",
            "mlsysim.core.solver.service_goals:service_goal",
        ),
    ),
    rows=(
        RowOf("one", None, r"\sum_k x_k = 1", "one deployment"),
        RowOf("w02", 2, r"\sum_k M_k x_k \le M_{\max}", "memory of an accelerator"),
        RowOf(
            "w04",
            4,
            r"\sum_k F_k x_k \le F_{\max}, \qquad \sum_k I_k x_k \le I_{\max}",
            "targets with the batch full",
            "`constraints.ttft`, `itl`, `stall`",
        ),
        RowOf("w05", 5, r"\sum_k B_k x_k \le \sum_k \text{pool}_k x_k", "KV blocks of the running requests"),
        RowOf(
            "w07",
            7,
            r"\lambda \le \sum_k \kappa_k x_k, \qquad \sum_k R_k(P) x_k \le R_{\max}",
            "the load is carried; the percentile keeps its target",
            "`constraints.tail` and `ttft_tail` for the targets",
        ),
        RowOf("w10", 10, r"\sum_k t_k x_k \le \text{domain}", "tensor-parallel ranks in one domain"),
        RowOf(
            "w13", 13, r"\sum_k \ell_k x_k \le \ell_{\max}", "loss of accuracy", "`constraints.accuracy_loss`"
        ),
        RowOf("w17", 17, r"\sum_k Z_k x_k \le \text{budget}", "cost", "`constraints.budget`"),
        RowOf(
            "w18", 18, r"\sum_k Q_k x_k \le \text{cap}", "carbon and water", "`constraints.carbon`, `water`"
        ),
        RowOf(
            "assert",
            None,
            r"\sum_k (\text{numerator}_k - \text{limit} \times \text{denominator}_k) x_k \le 0",
            "an assertion",
            "`constraints.assert`",
        ),
    ),
    remarks=(
        "The response time of a percentile joins all decisions in one number, so it is tabulated over the "
        "whole grid by the physics. One choice is left, and its proof is a look at every cell.",
        "Batches up to 256 are all cells, beyond them every 2%. Where a fleet allows very many deployments, "
        "only the fewest replicas that keep up, the fewest that answer in time, and the most are cells: "
        "those in between are later for no less money, or cost more for nothing.",
    ),
    sources=("kwon_2023", "pope_2023"),
)
