import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Design your own accelerator", html_head_file="head.html")


@app.cell
def _():
    import mlsysim
    from mlsysim import viz
    from mlsysim.labs import teach

    return mlsysim, teach, viz


@app.cell
def _(teach):
    teach.begin(
        "design",
        """
        So far the hardware was given, and the plan was looked for. Turn it round: a target is given, and you
        design the accelerator that meets it for the least money. Every supply that is larger than it must
        be is wasted.
        """,
    )
    return


@app.cell
def _(mlsysim, teach):
    plan = {
        "version": "1.0",
        "name": "GPT-3 on 128 H100",
        "workload": {"name": "GPT3", "phase": "training", "batch_size": 256, "seq_len": 2048},
        "hardware": {"name": "H100", "nodes": 16},
    }
    # what share of the money for an accelerator each supply takes: 40% the arithmetic, and so on
    money = {
        "peak": 0.4,
        "bandwidth": 0.2,
        "capacity": 0.2,
        "scale_up_bandwidth": 0.1,
        "scale_out_bandwidth": 0.1,
    }
    target = 6.0

    there = mlsysim.optimize.parallelism(plan)
    teach.say(
        f"""
        ## What is there
        GPT-3 trains on 128 H100. With the best layout that there is, a step takes
        **{teach.metric(there.evaluation, "performance.latency")}**. The target is **{target:.0f} s**.

        An accelerator has five supplies, and each takes its share of the money. Say an H100 costs 1: then its
        arithmetic costs {money["peak"]}, its memory bandwidth {money["bandwidth"]}, its memory
        {money["capacity"]}, its links within the server {money["scale_up_bandwidth"]} and its network
        {money["scale_out_bandwidth"]}. Twice of one costs twice its share, and half of it half.
        """
    )
    return money, plan, target, there


@app.cell
def _(mlsysim, plan, teach):
    names = {
        "peak": "arithmetic: the peak rate",
        "bandwidth": "memory bandwidth",
        "capacity": "memory capacity",
        "scale_up_bandwidth": "the links within a server",
        "scale_out_bandwidth": "the network between servers",
    }

    def designed(**factors):
        """Return the best layout on an H100 with some supplies changed by a factor, proven."""
        return mlsysim.optimize.parallelism(
            plan | {"what_if": {name: f"{factor}x" for name, factor in factors.items() if factor != 1}}
        )

    worth = teach.ask(
        """
        You may make one supply half as large again. Which makes a step shorter by the most?
        """,
        list(names.values()),
    )
    worth
    return designed, names, worth


@app.cell
def _(designed, names, teach, there, worth):
    teach.wait(worth, aloud=True)

    def seconds(solution):
        return solution.evaluation.metric("performance.latency") / 1000

    more = {name: designed(**{name: 1.5}) for name in names}
    teach.show(
        teach.verdict(
            worth,
            names[min(more, key=lambda name: seconds(more[name]))],
            """
            Each line is planned anew, layout and all. The step's time goes to what it is bound by
            (wall 1, 2 or 14), so only a larger supply *there* helps; the others have room already. What a
            little more of a supply is worth is wall 21, its shadow price.
            """,
        ),
        teach.table(
            ("half as large again", "step", "shorter by"),
            [
                (
                    names[name],
                    teach.metric(found.evaluation, "performance.latency"),
                    f"{1 - seconds(found) / seconds(there):.1%}",
                )
                for name, found in more.items()
            ],
        ),
    )
    return (seconds,)


@app.cell
def _(mlsysim, plan, teach, viz, worth):
    teach.wait(worth)
    worths = mlsysim.solve.sensitivity(plan)
    teach.show(
        teach.say("And this is every supply made 10% smaller and 10% larger:"),
        viz.tornado(worths),
    )
    return


@app.cell
def _(teach, worth):
    teach.wait(worth)
    steps = [0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.5, 3, 4]
    knobs = {
        "peak": teach.slider("arithmetic", steps, 1),
        "bandwidth": teach.slider("memory bandwidth", steps, 1),
        "capacity": teach.slider("memory capacity", steps, 1),
        "scale_up_bandwidth": teach.slider("links in the server", steps, 1),
        "scale_out_bandwidth": teach.slider("network", steps, 1),
    }
    peak, bandwidth, capacity, scale_up, scale_out = knobs.values()
    good = []
    teach.show(
        teach.say(
            """
            ## Your design
            Each slider is a multiple of the H100's supply. Meet the target first. Then take away from
            whatever you can: the least price wins. The layout is planned anew for each design.
            """
        ),
        teach.controls(peak, bandwidth, capacity, scale_up, scale_out),
    )
    return bandwidth, capacity, good, peak, scale_out, scale_up


@app.cell
def _(
    bandwidth,
    capacity,
    designed,
    good,
    money,
    peak,
    scale_out,
    scale_up,
    seconds,
    target,
    teach,
    viz,
):
    factors = {
        "peak": peak.value,
        "bandwidth": bandwidth.value,
        "capacity": capacity.value,
        "scale_up_bandwidth": scale_up.value,
        "scale_out_bandwidth": scale_out.value,
    }
    mine = designed(**factors)
    price = sum(money[name] * factor for name, factor in factors.items())
    runs = mine.exit_code != 2
    met = runs and seconds(mine) <= target
    if met and (price, factors) not in good:
        good.append((price, factors))
    designs = len(good)  # tells later cells that there is a new one, which the list itself does not
    step = f"A step takes {teach.metric(mine.evaluation, 'performance.latency')}" if runs else "Nothing fits"
    teach.show(
        teach.say(
            f"""
            Your accelerator costs **{price:.3f}** of an H100. {step}: the target of {target:.0f} s is
            **{"met" if met else "missed"}**.
            """
        ),
        teach.table(
            ("your best designs", *factors),
            [
                (f"costs {paid:.3f}", *(f"{f} x" for f in given.values()))
                for paid, given in sorted(good, key=lambda g: g[0])[:5]
            ],
        )
        if good
        else None,
        viz.step_time(mine.evaluation) if runs else None,
    )
    return (designs,)


@app.cell
def _(teach, worth):
    teach.wait(worth)
    above = {
        1.002: "nothing: mine is the least",
        1.03: "about 3%",
        1.1: "about 10%",
        1.3: "about 30% or more",
    }
    gap = teach.ask(
        """
        ## The least that meets it
        When you cannot take away any more: how much could still be saved on your best design? Your
        answer uncovers the solver's design.
        """,
        list(above.values()),
    )
    gap
    return above, gap


@app.cell
def _(gap, mlsysim, money, plan, target, teach):
    teach.wait(gap, aloud=True)
    least = mlsysim.solve.synthesis(plan, target=f"performance.latency <= {target} s", weigh=money)
    return (least,)


@app.cell
def _(above, designs, gap, good, least, teach):
    found = least.to_dict()["synthesis"]
    cost = sum(s["weight"] * s["factor"] for s in found["supplies"])
    smaller = [s["title"] for s in found["supplies"] if s["factor"] < 0.95]
    bought = min(good, key=lambda g: g[0])[0] if designs else None
    saved = (
        "You have no design yet that meets the target."
        if bought is None
        else (f"Your best costs {bought:.3f}, which is {bought / cost - 1:.1%} more.")
    )
    teach.show(
        teach.verdict(
            gap,
            list(above.values())[-1] if bought is None else teach.how_often(bought / cost, above),
            f"""
            The solver's design costs **{cost:.3f}** of an H100. {saved} The surprise: to be so much faster,
            it may have *less* of something than an H100 ({", ".join(smaller) or "here it does not"}). Once
            arithmetic is fast enough, the rest may shrink until all of them together are just enough.
            """,
        ),
        teach.table(
            ("supply", "H100", "least", "factor", "wall"),
            [
                (
                    s["title"],
                    f"{s['there']:.4g} {s['unit']}",
                    f"{s['needed']:.4g} {s['unit']}",
                    f"{s['factor']:.2f} x",
                    str(s["wall"]),
                )
                for s in found["supplies"]
            ],
        ),
        teach.say(
            f"""
            It runs with {least.evaluation.layout}. A little less of any supply misses the target,
            whatever the layout; that no other mix costs less is not proven. With a layout held, a step is
            a sum of parts, each in inverse proportion to one rate. The cheapest mix then gives each rate
            the square root of what it is asked for, over what it costs (Lagrange): nothing is left idle,
            and nothing is perfect.
            """
        ),
        teach.wall(least.evaluation, 21, 22),
    )
    return


@app.cell
def _(gap, least, teach):
    teach.wait(gap)
    teach.show(
        teach.say(
            "### What can be bought\nThe nearest accelerators of the registry, each with its best layout:"
        ),
        teach.table(
            ("accelerator", "step", "the target is", "less there of"),
            [
                (
                    part.name,
                    teach.metric(part.evaluation, "performance.latency"),
                    "met" if part.meets else "missed",
                    ", ".join(n.replace("_", " ") for n in part.short_of) or "nothing",
                )
                for part in least.parts
            ],
        ),
    )
    return


@app.cell
def _(gap, teach):
    teach.wait(gap)
    teach.end(
        "design",
        """
        1. Memory bandwidth becomes three times as dear: `"bandwidth": 0.6` in `money`
           (`mlsysim lab design --edit` opens a copy). Which other supply grows in its place? Predict it,
           with the square root in mind.
        2. How short can a step become if arithmetic were free? Write a target that no rates meet, read what
           the solver says, and name what is left.
        3. Design for serving: which of the five supplies would you cut first, after the first lab? Give the
           wall for each.
        """,
    )
    return


if __name__ == "__main__":
    app.run()
