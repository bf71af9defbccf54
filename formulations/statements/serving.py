"""The accelerators of a mix of requests, in mathematics."""

from __future__ import annotations

from formulations.statements.base import Decision, Formula, Named, RowOf, Statement

_MIX = "formulations.serving:Mix."

STATEMENT = Statement(
    name="serving",
    title="A mix of requests",
    command="mlsysim optimize serving",
    guide="serving_mix.md",
    modules=("formulations.serving", "formulations.serving_recipe", "formulations.serving_days"),
    asks="How many instances of which kinds answer a mix of requests at least cost, and who answers what?",
    sets=(
        Named("u", "mlsysim.core.plan_mix:MixBlock.classes", "classes of requests"),
        Named("v", _MIX + "kinds", "kinds of instances: accelerator, tp, format, role, promise"),
        Named("h", _MIX + "hours", "hours, one or those of a day"),
    ),
    decisions=(
        Decision("l_{uvh}", "flow", "share of class $u$ that kind $v$ takes in hour $h$, between 0 and 1"),
        Decision("x_{vhn}", "count", "whether there are $n$ instances of kind $v$ in hour $h$"),
        Decision("s_{vh}", "start", "instances of kind $v$ that start in hour $h$", (), "a cost of starting"),
    ),
    tables=(
        Named(r"\lambda_{uh}", _MIX + "rate", "requests a second", "1/s"),
        Named("t_{uv}", _MIX + "time", "that a request takes of an instance", "s"),
        Named("d_{uv}", _MIX + "moved", "time that the links take for its cache", "s"),
        Named("W_v(n)", _MIX + "work", "busy instances allowed of $n$: the table of the queue"),
        Named("c_v", _MIX + "cost", "of an instance for an hour"),
        Named("o_v", _MIX + "start", "of starting an instance"),
        Named("a_v", _MIX + "units", "accelerators of an instance"),
        Named("N_i", _MIX + "stocks", "accelerators in stock $i$"),
        Named(r"\delta", _MIX + "spare", "instances of a kind that may be down"),
    ),
    derived=(),
    objectives=(
        Formula(
            "Cost, or carbon, or cost and a tax on carbon, of all hours:",
            r"\min \sum_{v,h,n} c_v \, n \, x_{vhn} + \sum_{v,h} o_v s_{vh}",
            "formulations.serving:Plan.cost",
        ),
    ),
    rows=(
        RowOf("serve", None, r"\sum_{v \text{ mixed or prefill}} l_{uvh} = 1", "every class is served"),
        RowOf(
            "move",
            None,
            r"\sum_{v \text{ prefill}} l_{uvh} = \sum_{v \text{ decode}} l_{uvh}",
            "what is read is decoded, within a format",
            "split roles",
        ),
        RowOf("one", None, r"\sum_n x_{vhn} = 1", "one number of each kind in each hour"),
        RowOf(
            "w07",
            7,
            r"\sum_u \lambda_{uh} t_{uv} l_{uvh} \le \sum_n W_v(n) x_{vhn}",
            "instances are as busy as the percentile of the wait allows",
        ),
        RowOf(
            "w14",
            14,
            r"\sum_u \lambda_{uh} d_{uv} l_{uvh} \le \sum_n (n - \delta) x_{vhn}",
            "links carry the caches",
            "split roles",
        ),
        RowOf(
            "stock",
            None,
            r"\sum_{v \in i} a_v \sum_n n \, x_{vhn} \le N_i",
            "accelerators that there are",
            "`available`",
        ),
        RowOf(
            "start",
            None,
            r"s_{vh} \ge \sum_n n \, (x_{vhn} - x_{v,h-1,n})",
            "the hour before the first is the last",
            "a cost of starting",
        ),
        RowOf(
            "known",
            None,
            r"z_{\min} \le \text{cost} \le z_{\max}",
            "what bounds and plans already prove",
            "a search that asks an engine",
        ),
    ),
    remarks=(
        "Walls 4 and 5 fix the batch at which each class runs before anything is chosen, so that they hold "
        "in every cell.",
        "Whole numbers count instances, and what flows is a share of a class: no two solutions differ in "
        "names only. Shared queues make $W_v(n)$ convex, so that the relaxation is weak; [the "
        "guide](../serving_mix.md#the-program) says how prices bound it, and how the search closes the rest.",
    ),
    sources=("kwon_2023",),
)
