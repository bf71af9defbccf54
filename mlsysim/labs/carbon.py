import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Where and when to train", html_head_file="head.html")


@app.cell
def _():
    import statistics

    import mlsysim
    from mlsysim import viz
    from mlsysim.labs import teach

    return mlsysim, statistics, teach, viz


@app.cell
def _(teach):
    teach.begin(
        "carbon",
        """
        The same training run emits many times as much carbon in one place as in another, and at noon not what
        it does at midnight. What would a ton of CO2 have to cost for people to move their jobs? You
        guess, and the solver gives the number exactly.
        """,
    )
    return


@app.cell
def _(mlsysim, teach):
    plan = {
        "version": "1.0",
        "name": "Llama 3 70B for 30 days",
        "workload": {"name": "Llama3_70B", "phase": "training", "batch_size": 1024, "seq_len": 8192},
        "hardware": {"name": "H100", "nodes": 64},
        "ops": {"region": "Iowa", "duration_days": 30},
    }

    now = mlsysim.evaluate_plan(plan)
    teach.say(
        f"""
        ## Where
        Llama 3 70B trains for 30 days on 512 H100 of one's own, in Iowa. That costs
        {teach.metric(now, "macro.tco_usd")} and emits {teach.metric(now, "macro.carbon_tco2e")}: electricity,
        and a share of what it took to make the machines. There are regions with cheaper electricity, and
        others with cleaner electricity. Without a carbon tax, only the price counts.
        """
    )
    return now, plan


@app.cell
def _(teach):
    taxes = {
        15: "about 15 dollars a ton",
        60: "about 60 dollars a ton",
        250: "about 250 dollars a ton",
        1000: "about 1,000 dollars a ton",
    }
    first_tax = teach.ask(
        """
        The run may go to any region in the world. From which carbon tax on is the cheapest place no
        longer the one with the cheapest electricity, but a cleaner one?
        """,
        list(taxes.values()),
    )
    first_tax
    return first_tax, taxes


@app.cell
def _(mlsysim, plan):
    def by_tax(tax, regions=()):
        """Return the best regions: for a tax, or for a range of it."""
        return mlsysim.optimize.placement(plan, carbon_tax=tax, regions=regions)

    def stretches(solution):
        """Return for which taxes which region is the best: the breakpoints are exact."""
        return solution.to_dict()["solution"]["tax"]["plans"]

    def place(region):
        """Return what a region is called."""
        return getattr(mlsysim.Infra, region).title

    return by_tax, place, stretches


@app.cell
def _(by_tax, first_tax, place, stretches, taxes, teach, viz):
    teach.wait(first_tax, aloud=True)
    world = by_tax("0:1000")
    cheap, clean = stretches(world)[:2]
    dearer, less = clean["cost"] - cheap["cost"], cheap["carbon"] - clean["carbon"]
    teach.show(
        teach.verdict(
            first_tax,
            teach.how_often(clean["from"], taxes),
            f"""
            It is $ {clean["from"]:.2f} a ton, exactly. Below, {place(cheap["region"])} is the cheapest,
            with {cheap["carbon"]:.0f} tCO2e; above it is {place(clean["region"])}, with
            {clean["carbon"]:.1f} tCO2e. That costs $ {dearer:,.0f} more, which is
            {dearer / cheap["cost"]:.1%}, for {less:.0f} tons less. Divide one by the other: there the two
            are equal.

            Machines are the larger part of the cost (wall 17) and cost the same everywhere; carbon (wall
            18) is nearly all electricity. So a small tax moves a job that is free to go anywhere.
            """,
        ),
        viz.breakpoints(by_tax((0, 4 * clean["from"]))),
        teach.wall(world.evaluation, 17, 18),
    )
    return


@app.cell
def _(first_tax, taxes, teach):
    teach.wait(first_tax)
    bound = teach.ask(
        """
        ## Not everywhere
        Data and people are in Asia and the Pacific, and the run has to stay there: a few regions of one cloud
        provider, among them Mumbai, Jakarta, Singapore, Tokyo and Sydney. From which tax on does it move now?
        """,
        list(taxes.values()),
    )
    bound
    return (bound,)


@app.cell
def _(bound, by_tax, place, stretches, taxes, teach):
    teach.wait(bound, aloud=True)
    places = {
        "the world": (),
        "the United States": (
            "gcp_us_central1",
            "gcp_us_east1",
            "gcp_us_east4",
            "gcp_us_south1",
            "gcp_us_west1",
            "gcp_us_west2",
            "gcp_us_west3",
            "gcp_us_west4",
        ),
        "the European Union": (
            "gcp_europe_central2",
            "gcp_europe_southwest1",
            "gcp_europe_west1",
            "gcp_europe_west3",
            "gcp_europe_west4",
            "gcp_europe_west8",
            "gcp_europe_west9",
        ),
        "Asia and the Pacific": (
            "gcp_asia_east1",
            "gcp_asia_northeast1",
            "gcp_asia_northeast2",
            "gcp_asia_south1",
            "gcp_asia_southeast1",
            "gcp_asia_southeast2",
            "gcp_australia_southeast1",
        ),
    }
    asia = stretches(by_tax("0:1000", places["Asia and the Pacific"]))
    teach.verdict(
        bound,
        teach.how_often(asia[0]["to"], taxes),
        f"""
        It is $ {asia[0]["to"]:.0f} a ton: from {place(asia[0]["region"])} to {place(asia[1]["region"])},
        which still emits {asia[1]["carbon"]:.0f} tCO2e. The grids there resemble one another, so moving
        saves little carbon for its price. What makes carbon cheap to avoid is the freedom to go where
        electricity is clean, and what makes it dear is each rule that takes this freedom away.
        """,
    )
    return (places,)


@app.cell
def _(bound, places, teach):
    teach.wait(bound)
    tax = teach.slider("carbon tax in dollars a ton", range(0, 401, 5), 50)
    inside = teach.choice("it may run in", places, "Asia and the Pacific")
    teach.show(
        teach.say(
            """
            ## Try it
            Raise the tax from zero. Where does the region change, and where the objective?
            """
        ),
        teach.controls(tax, inside),
    )
    return inside, tax


@app.cell
def _(by_tax, inside):
    over = by_tax("0:400", inside.value)
    return (over,)


@app.cell
def _(by_tax, inside, now, over, place, stretches, tax, teach, viz):
    here = by_tax(float(tax.value), inside.value)
    teach.show(
        teach.say(
            f"""
            At $ {tax.value} a ton the best region is **{place(here.decided["region"])}**: it costs
            {teach.metric(here.evaluation, "macro.tco_usd")} and emits
            {teach.metric(here.evaluation, "macro.carbon_tco2e")}, after
            {teach.metric(now, "macro.carbon_tco2e")} in Iowa. With the tax that is
            **$ {here.to_dict()["solution"]["objective"]["value"]:,.0f}**.
            """
        ),
        teach.table(
            ("best region", "from $ a ton", "to $ a ton", "cost", "carbon"),
            [
                (
                    place(s["region"]),
                    f"{s['from']:.2f}",
                    f"{s['to']:.2f}",
                    f"$ {s['cost']:,.0f}",
                    f"{s['carbon']:.1f} tCO2e",
                )
                for s in stretches(over)
            ],
        ),
        viz.breakpoints(over),
    )
    return


@app.cell
def _(bound, teach):
    teach.wait(bound)
    hours = ["at night", "in the morning or in the evening", "around noon"]
    clean_hours = teach.ask(
        """
        ## When
        A fine-tune takes 64 H100 for 8 hours, in Frankfurt, some time in the next two days of March; it may
        pause whenever it likes. Every hour has its own price and its own carbon. When should it run?
        """,
        hours,
    )
    clean_hours
    return clean_hours, hours


@app.cell
def _(clean_hours, hours, mlsysim, statistics, teach, viz):
    teach.wait(clean_hours, aloud=True)

    def fine_tune(tax=0, regions=("aws_eu_central_1",), may="pause"):
        """Eight hours on 64 H100 within two days, where and when it is the cheapest."""
        return mlsysim.optimize.placement(
            {
                "version": "1.0",
                "name": "A fine-tune within two days",
                "ops": {"start": "2025-03-04T00:00", "timezone": "Europe/Berlin", "hours": 48},
                "regions": [{"name": name, "capacity": {"H100": 64}} for name in regions],
                "jobs": [
                    {
                        "name": "fine-tune",
                        "accelerator_hours": 64 * 8,
                        "hardware": [{"name": "H100", "accelerators": 64}],
                        "may": may,
                        "data": {"size": "2 TB", "at": "aws_eu_central_1"},
                        "now": "aws_eu_central_1",
                    }
                ],
            },
            carbon_tax=tax,
        )

    waiting = fine_tune()
    answer = waiting.to_dict()
    spent = answer["hours"]["regions"][0]["electricity_usd"]
    middle = statistics.median(slot % 24 for slot, dollars in enumerate(spent) if dollars)
    at_once = answer["baselines"][0]["totals"]
    less_carbon = 1 - answer["totals"]["carbon_tco2e"] / at_once["carbon_tco2e"]
    less_cost = 1 - answer["totals"]["cost_usd"] / at_once["cost_usd"]
    teach.show(
        teach.verdict(
            clean_hours,
            hours[2] if 10 <= middle <= 16 else hours[0] if middle < 6 or middle > 21 else hours[1],
            f"""
            Against starting at once, at midnight, that emits {less_carbon:.0%} less and costs
            {less_cost:.0%} less, without any tax: this grid has much solar power, and when the sun
            shines, electricity is clean *and* cheap. A job that can wait is paid for waiting. (The hours
            follow documented shapes over the region's mean; with a CSV of your own they are your grid's.)
            """,
        ),
        viz.gantt(waiting),
    )
    return (fine_tune,)


@app.cell
def _(clean_hours, fine_tune, teach):
    teach.wait(clean_hours)
    both = fine_tune(regions=("aws_eu_central_1", "aws_eu_north_1"))
    where = both.to_dict()
    teach.show(
        teach.say(
            """
            ### And where, and when
            Now Stockholm is open too; the 2 TB of data would have to be sent there.
            """
        ),
        teach.table(
            ("", "cost", "carbon"),
            [
                (title, f"$ {totals['cost_usd']:,.0f}", f"{1000 * totals['carbon_tco2e']:.0f} kgCO2e")
                for title, totals in (
                    ("Frankfurt, at once", where["baselines"][1]["totals"]),
                    ("Frankfurt, in good hours", fine_tune().to_dict()["totals"]),
                    ("either, in good hours", where["totals"]),
                )
            ],
        ),
    )
    return


@app.cell
def _(clean_hours, teach):
    teach.wait(clean_hours)
    teach.end(
        "carbon",
        """
        1. In the European Union, one region has electricity almost free of carbon. At which tax does it
           win, and against which? Set the slider just below and just above, and add up the objective by hand.
        2. `mlsysim lab carbon --edit` opens a copy. Let the run rent its machines (`"ownership": "rent"` in
           `ops`). Predict which tax moves it, and say why it is that one.
        3. Give the fine-tune a deadline of 10 h (`"deadline": "10 h"`). What does the deadline cost, in
           dollars and in carbon?
        """,
    )
    return


if __name__ == "__main__":
    app.run()
