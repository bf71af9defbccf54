"""Jobs over regions and hours, in mathematics."""

from __future__ import annotations

from formulations.statements.base import Decision, Formula, Named, RowOf, Statement

_PLACES = "mlsysim.core.schedule.types:Places."
_OPTION = "mlsysim.core.schedule.types:Option."
_JOB = "mlsysim.core.schedule.types:Job."
_CAPS = "mlsysim.core.schedule.types:Caps."
_WEIGHTS = "mlsysim.core.schedule.types:Weights."

STATEMENT = Statement(
    name="fleets",
    title="Jobs over regions and hours",
    command="mlsysim optimize placement",
    guide="fleets.md",
    modules=(
        "formulations.schedule.whole",
        "formulations.schedule.relaxation",
        "formulations.schedule.planning",
    ),
    asks="What runs where and when, so that cost, carbon tax and water are least?",
    sets=(
        Named(
            "j",
            "mlsysim.core.schedule.types:Fleet.jobs",
            "jobs: rigid, that pause, that move, that are split",
        ),
        Named("k", _JOB + "options", "ways to run a job: type, count, time"),
        Named("r", _PLACES + "names", "regions"),
        Named("t", _PLACES + "slots", "slots, hours or days, of a job's window in a region"),
        Named("q", _PLACES + "hardware", "types of accelerators"),
    ),
    decisions=(
        Decision("x_{jkrs}", "start", "whether job $j$ starts at slot $s$, binary", (), "rigid jobs"),
        Decision("z_{jkr}", "there", "whether it is in the region, binary", (), "jobs that pause"),
        Decision("y_{jkrt}", "slot", "whether it runs in the slot, binary", (), "jobs that pause"),
        Decision(
            "w_{jkrt}", "share", "of its accelerators in the slot, between 0 and 1", (), "jobs that are split"
        ),
        Decision("a^1", "fetch", "an arc: it begins in the region", (), "jobs that move"),
        Decision("a^0", "idle", "an arc: it waits through the slot", (), "jobs that move"),
        Decision("a_{jkrt}", "run", "an arc: it runs in the slot", (), "jobs that move"),
        Decision("a_{jkrr't}", "hop", "an arc: its data goes to another region", (), "jobs that move"),
    ),
    tables=(
        Named("c_{rt}", _PLACES + "cost", "electricity for a watt through the slot", "USD/W"),
        Named("q_{rt}", _PLACES + "carbon", "carbon of it", "kgCO2e/W"),
        Named("h_{rt}", _PLACES + "water", "water of it", "L/W"),
        Named(r"\eta_r", _PLACES + "pue", "facility over IT power"),
        Named("w_k", _OPTION + "power", "IT power of an option", "W"),
        Named("b_k", _OPTION + "busy", "share of its slots that it runs"),
        Named("n_k", _OPTION + "count", "accelerators of an option"),
        Named("d_k", _OPTION + "slots", "slots that it occupies; $d_k b_k$ (`work`) in running time"),
        Named("C_{kr}", _OPTION + "cost", "of the whole run besides electricity", "USD"),
        Named("K_k", _OPTION + "carbon", "embodied carbon of the run", "kgCO2e"),
        Named("f_{jr}", _JOB + "fetch", "bringing its data; `moving` from region to region", "USD"),
        Named("P_{rt}", _PLACES + "power", "facility power that is there", "W"),
        Named("A_{qrt}", _PLACES + "accelerators", "accelerators that are there"),
    ),
    derived=(
        Formula(
            "What a watt through a slot costs in the objective, at the tax $\\pi$ and the price of water "
            "$\\omega$:",
            r"E_{rt} = c_{rt} + \pi q_{rt} + \omega h_{rt}",
            "formulations.schedule.fields:Fields.of",
        ),
        Formula(
            "What a slot and a whole run of an option cost:",
            r"g_{jkrt} = w_k b_k E_{rt}, \qquad G_{jkr} = C_{kr} + f_{jr} + \pi K_k",
            "formulations.schedule.fields:Fields.once",
        ),
    ),
    objectives=(
        Formula(
            "The sum over all jobs; a split job pays for its shares, one that moves for its arcs:",
            r"\min \sum_{j,k,r,s} \left( G_{jkr} + \sum_{t=s}^{s+d_k-1} g_{jkrt} \right) x_{jkrs} + "
            r"\sum_{j,k,r} G_{jkr} z_{jkr}"
            r" + \sum_{j,k,r,t} g_{jkrt} y_{jkrt} + \dots",
            "formulations.schedule.whole:Whole.program",
        ),
    ),
    rows=(
        RowOf("rigid", None, r"\sum_{k,r,s} x_{jkrs} = 1", "one window of a rigid job"),
        RowOf(
            "pause",
            None,
            r"\sum_{k,r} z_{jkr} = 1, \qquad \sum_t y_{jkrt} = d_k z_{jkr}, \qquad y_{jkrt} \le z_{jkr}",
            "one region and enough slots of a job that pauses",
        ),
        RowOf(
            "split",
            None,
            r"\sum_{k,r,t} \frac{w_{jkrt}}{d_k b_k} = 1, \qquad \sum_{k,r} w_{jkrt} \le 1",
            "all of the work, no more than the whole job at once",
        ),
        RowOf(
            "move",
            None,
            r"\sum a^{\text{in}} = \sum a^{\text{out}}, \qquad \sum_{k,r,t} \frac{a_{jkrt}}{d_k} = 1",
            "a path through (slot, region), long enough",
        ),
        RowOf(
            "cell",
            None,
            r"\sum_{j,k} n_k \, (\text{held in } r, t) \le A_{qrt}, \qquad \sum_{j,k} \eta_r w_k \, "
            r"(\text{held in } r, t) \le P_{rt}",
            "accelerators by type, and power, of every region and slot",
        ),
        RowOf(
            "total",
            17,
            r"\sum (\text{cost, carbon, water of all jobs}) \le \text{cap}",
            "the caps of the plan (walls 17 and 18)",
            "`constraints`",
        ),
        RowOf(
            "region",
            18,
            r"\sum_{j} (\text{carbon in } r) \le \text{cap}_r",
            "carbon of a region",
            "`constraints.carbon_by_region`",
        ),
        RowOf(
            "job",
            18,
            r"\sum_{k,r,t} (\text{carbon of } j) \le \text{cap}_j",
            "carbon of a job",
            "`jobs[].carbon`",
        ),
    ),
    remarks=(
        "Residency, latency, deadlines, closed regions and the time to fetch data (wall 10) are in which "
        "cells there are; failures and checkpoints (walls 15 and 19) are in the time of an option.",
        "The limits relaxed at prices, every job stands alone, which bounds the whole (Lagrange): the "
        "cheapest window by prefix sums, the cheapest slots, a knapsack in shares, a shortest path. Cells "
        "whose cheapest schedule costs more than their job's cheapest by over the gap are in no better "
        "schedule; what is left is the program above. [The "
        "guide](../fleets.md#how-it-is-solved-and-what-is-proven) says more.",
    ),
    sources=("patterson_2021",),
)
