"""The region of a plan, in mathematics."""

from __future__ import annotations

from formulations.statements.base import Decision, Formula, Named, RowOf, Statement

_SITE = "mlsysim.physics.operations:Site."
_FLEET = "mlsysim.physics.operations:Fleet."
_BILL = "mlsysim.physics.operations:Bill."
_HOME = "mlsysim.physics.operations:bill"

STATEMENT = Statement(
    name="placement",
    title="The region of a plan",
    command="mlsysim optimize placement",
    guide="placement.md",
    modules=("formulations.placement",),
    asks="In which region does a plan, its layout as it is, cost least?",
    sets=(
        Named("n", _FLEET + "units", "accelerators"),
        Named("w", _FLEET + "power", "average draw of one", "W"),
        Named("C", _FLEET + "price", "purchase of one", "USD"),
        Named("K", _FLEET + "embodied", "emissions of making one", "kgCO2e"),
        Named(r"\Lambda", _FLEET + "lifetime", "over which both are written off", "s"),
        Named(r"\nu", _FLEET + "upkeep", "maintenance a second, as a share of the purchase", "1/s"),
        Named("t", "mlsysim.walls:State.duration", "how long the plan runs", "s"),
    ),
    decisions=(
        Decision("r", "region", "where the plan runs", (Named("r", "region", "number of the candidate"),)),
    ),
    tables=(
        Named("c_r", _SITE + "price", "price of electricity", "USD/J"),
        Named("i_r", _SITE + "carbon_intensity", "carbon intensity", "kgCO2e/J"),
        Named(r"\eta_r", _SITE + "pue", "facility over IT energy"),
        Named("a_r", _SITE + "wue", "water on site for IT energy", "L/J"),
        Named("g_r", _SITE + "grid_water", "water of the power plants", "L/J"),
    ),
    derived=(
        Formula("Energy of the facility:", r"E_r = n w t \, \eta_r", _BILL + "energy"),
        Formula(
            "Carbon, operational and embodied:", r"Q_r = E_r i_r + n K \frac{t}{\Lambda}", _BILL + "carbon"
        ),
        Formula("Water:", r"H_r = n w t \, a_r + E_r g_r", _BILL + "water"),
        Formula(
            "Cost of owned machines (rent alone, where they are rented):",
            r"Z_r = n C \frac{t}{\Lambda} + n C \nu t + E_r c_r",
            _HOME,
        ),
    ),
    objectives=(
        Formula(
            "Cost at a carbon tax $\\pi$ and a price of water $\\omega$; each metric in turn for a frontier:",
            r"\min \sum_r \left( Z_r + \pi Q_r + \omega H_r \right) x_r",
            "mlsysim.physics.operations:taxed",
        ),
    ),
    rows=(
        RowOf("one", None, r"\sum_r x_r = 1", "one region"),
        RowOf("w17", 17, r"\sum_r Z_r x_r \le \text{budget}", "cost", "`constraints.budget`"),
        RowOf(
            "w18", 18, r"\sum_r Q_r x_r \le \text{cap}", "carbon and water", "`constraints.carbon`, `water`"
        ),
        RowOf(
            "wall",
            None,
            r"D_i \le S_i",
            "any other wall of the layout, the same in every region: kept by all or by none",
        ),
        RowOf(
            "assert",
            None,
            r"\sum_r (\text{numerator}_r - \text{limit} \times \text{denominator}_r) x_r \le 0",
            "an assertion",
            "`constraints.assert`",
        ),
        RowOf(
            "pareto",
            None,
            r"\sum_r \text{metric}_r x_r \le \text{bound}",
            "bounds on the other metrics",
            "a frontier",
        ),
    ),
    remarks=(
        "Every table is `bill` over all candidates at once.",
        "How the best region changes with the tax is exact: see "
        "[analyses](analyses.md#a-parameter-such-as-a-carbon-tax).",
    ),
    sources=("barroso_2018", "patterson_2021"),
)
