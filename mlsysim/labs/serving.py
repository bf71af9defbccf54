import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Serving under load", html_head_file="head.html")


@app.cell
def _():
    import mlsysim
    from mlsysim import viz
    from mlsysim.labs import teach

    return mlsysim, teach, viz


@app.cell
def _(teach):
    teach.begin(
        "serving",
        """
        A model answers people. They come when they like, each waits for the first word and then for the
        last, and every H100 costs money whether somebody asks or not. How much load can it take? The
        average tells little: what people remember is the slow answer.
        """,
    )
    return


@app.cell
def _(mlsysim, teach):
    places = 256

    def service(load, batch=places, **how):
        """Llama 3 8B on one H100: prompts of 500 tokens, answers of 200, so many requests a second."""
        return mlsysim.serve("Llama3_8B", "H100", qps=load, prompt=500, output=200, batch=batch, **how)

    full = service(1).metric("performance.request_capacity")
    quarter, half = service(0.25 * full), service(0.5 * full)
    teach.say(
        f"""
        ## Half full
        Llama 3 8B on one H100 works on up to {places} answers at once. With all of these places taken it
        completes {full:.1f} requests a second. At a quarter of that load, 99 of 100 answers are complete
        within {teach.metric(quarter, "performance.response_p99")} (this is the *P99*), and a million
        tokens cost {teach.metric(quarter, "macro.usd_per_million_served")}.
        """
    )
    return full, half, places, quarter, service


@app.cell
def _(teach):
    slower = {
        1.0: "it stays about the same",
        1.4: "it grows by less than half",
        2.0: "it doubles, as the load does",
        8.0: "it grows several times over",
    }
    doubled = teach.ask(
        """
        The load doubles, from a quarter to half of what the H100 can complete. What happens to the P99?
        """,
        list(slower.values()),
    )
    doubled
    return doubled, slower


@app.cell
def _(doubled, half, places, quarter, slower, teach):
    teach.wait(doubled, aloud=True)
    grown = half.metric("performance.response_p99") / quarter.metric("performance.response_p99")
    teach.show(
        teach.verdict(
            doubled,
            teach.how_often(grown, slower),
            f"""
            It grows by {grown - 1.0:.0%}, to {teach.metric(half, "performance.response_p99")}. Nobody
            waits for a place: {half.metric("performance.running"):.0f} of the {places} places are taken
            on average, and {quarter.metric("performance.running"):.0f} were before. But all answers share
            the machine, so each word comes a little later (wall 4). And the million tokens now cost
            {teach.metric(half, "macro.usd_per_million_served")} in place of
            {teach.metric(quarter, "macro.usd_per_million_served")} (wall 17): load is what pays for the
            machine.
            """,
        ),
        teach.wall(half, 4, 5, 7),
    )
    return


@app.cell
def _(doubled, full, teach):
    teach.wait(doubled)
    last = {
        1.05: "by about 5%, as the load",
        2.0: "it about doubles",
        15.0: "more than tenfold",
    }
    edge = teach.ask(
        f"""
        ## Nearly full
        It works so well that the load is raised to 94%, and then to 99% of the {full:.1f} requests a second.
        That is 5% more requests. How does the P99 of the time to the *first* token change with these
        last 5%?
        """,
        list(last.values()),
    )
    edge
    return edge, last


@app.cell
def _(edge, full, last, service, teach):
    teach.wait(edge, aloud=True)
    loads = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.96, 0.98, 0.99]
    ladder = [(100 * x, service(x * full)) for x in loads]
    near, nearer = service(0.94 * full), service(0.99 * full)
    jump = nearer.metric("performance.ttft_p99") / near.metric("performance.ttft_p99")
    teach.show(
        teach.verdict(
            edge,
            teach.how_often(jump, last),
            f"""
            It goes from {teach.metric(near, "performance.ttft_p99")} to
            {teach.metric(nearer, "performance.ttft_p99")}, {jump:.0f} times as long. As long as there are
            free places, the first token needs no wait. Once all are taken now and then, people queue, and
            a queue near full load grows without end: what is left to work it off is the share that is
            *not* used, and that went from 6% to 1%. This is wall 7, and what helps is room.
            """,
        ),
        teach.lines(
            "Times under load",
            "load [% of what full batches complete]",
            "time [ms]",
            {
                title: [(x, e.metric(f"performance.{name}")) for x, e in ladder]
                for name, title in (
                    ("response_p99", "whole answer, P99"),
                    ("response_p50", "whole answer, P50"),
                    ("ttft_p99", "first token, P99"),
                )
            },
            log=True,
        ),
    )
    return


@app.cell
def _(edge, teach):
    teach.wait(edge)
    load = teach.slider("load in % of capacity", [10, 20, 30, 40, 50, 60, 70, 80, 90, 94, 96, 98, 99], 50)
    at_once = teach.slider("answers at once", [16, 32, 64, 128, 256], 256)
    scheduler = teach.choice(
        "scheduler", {"prefill first": "prefill_first", "chunked": "chunked"}, "prefill first"
    )
    teach.show(
        teach.say(
            """
            ## Try it
            Fewer places make each word quicker, and the service smaller. The load is that of the service
            as you set it: find one in which 99 of 100 answers take less than 6 s, at the least cost of a
            token.
            """
        ),
        teach.controls(load, at_once, scheduler),
    )
    return at_once, load, scheduler


@app.cell
def _(at_once, load, scheduler, service, teach, viz):
    most = service(1, batch=at_once.value, scheduler=scheduler.value)
    rate = load.value / 100 * most.metric("performance.request_capacity")
    tried = service(rate, batch=at_once.value, scheduler=scheduler.value)
    teach.show(
        teach.say(f"It takes **{rate:.1f} requests a second**."),
        teach.table(
            ("first token P99", "between tokens", "answer P50", "answer P99", "a million tokens"),
            [
                (
                    *(
                        teach.metric(tried, f"performance.{name}")
                        for name in ("ttft_p99", "itl", "response_p50", "response_p99")
                    ),
                    teach.metric(tried, "macro.usd_per_million_served"),
                )
            ],
        ),
        viz.headroom(tried),
    )
    return


@app.cell
def _(edge, full, teach):
    teach.wait(edge)
    counts = ["3", "4", "5", "6", "7", "8"]
    size = teach.ask(
        f"""
        ## Size a service
        Now 100 requests a second are to be answered, 99 of 100 within 4 s. One H100 with full batches
        completes {full:.1f} a second. How many H100 does it take at least?
        """,
        counts,
    )
    size
    return counts, size


@app.cell
def _(full, mlsysim, service, size, teach):
    teach.wait(size, aloud=True)
    best = mlsysim.optimize.batching(
        {
            "version": "1.0",
            "workload": {"name": "Llama3_8B", "phase": "inference"},
            "hardware": {"name": "H100", "accelerators": 8},
            "serving": {"prompt": 500, "output": 200},
            "queue": {"rate": 100},
        },
        qps=100,
        sla_ms=4000,
    )
    found = best.evaluation
    teach.show(
        teach.verdict(
            size,
            str(best.decided["accelerators"]),
            f"""
            The solver went through {best.space_size:,} services of up to 8 H100 and proves it:
            {best.decided["replicas"]} replicas of {best.decided["tp"]} H100, up to
            {best.decided["requests"]} answers at once on each,
            {best.decided["scheduler"].replace("_", " ")}. The P99 is
            {teach.metric(found, "performance.response_p99")}, at
            {teach.metric(found, "performance.utilization")} of the capacity. To divide 100 by what a full
            H100 completes leaves out both things of this lab: full batches are slow, and full machines
            queue. And some answers are long: even with nobody else there, one H100 has a P99 of
            {teach.metric(service(0.01 * full), "performance.response_p99")}.
            """,
        ),
        teach.wall(found, 7, 17),
    )
    return


@app.cell
def _(size, teach):
    teach.wait(size)
    teach.end(
        "serving",
        """
        1. People accept 8 s in place of 4 s. Predict how many H100 are saved, then change `sla_ms`
           (`mlsysim lab serving --edit` opens a copy).
        2. Which costs less for the same target: twice the answers at once, or fp8
           (`precision=["bf16", "fp8"]`)? Say which wall each of them moves.
        3. A chat keeps people waiting for the first word, a batch job does not. Which of the two should run
           at 90% of capacity, and which limit of a plan says so? See `mlsysim serve --help`.
        """,
    )
    return


if __name__ == "__main__":
    app.run()
