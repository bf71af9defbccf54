import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="The roofline and the first walls", html_head_file="head.html")


@app.cell
def _():
    import mlsysim
    from mlsysim import viz
    from mlsysim.labs import teach

    return mlsysim, teach, viz


@app.cell
def _(teach):
    teach.begin(
        "roofline",
        """
        An accelerator calculates, and it moves bytes to and from its memory. A workload needs both and
        waits for the slower one. Which one is that? The answer decides which chip to buy, and whether a
        larger batch costs anything.
        """,
    )
    return


@app.cell
def _(mlsysim, teach):
    chip = mlsysim.Hardware.Cloud.H100
    one = mlsysim.SystemEvaluator.evaluate("One answer", "Llama3_8B", chip, batch_size=1)
    teach.say(
        f"""
        ## One answer at a time
        An H100 runs Llama 3 8B for a single person. It multiplies at up to {chip.peak.bf16}, and its memory
        delivers up to {chip.memory.bandwidth}. For each token that it generates, it needs every weight
        of the model once.
        """
    )
    return chip, one


@app.cell
def _(teach):
    share = {
        0.5: "about half of it",
        0.05: "about a twentieth of it",
        0.003: "less than a hundredth of it",
    }
    how_busy = teach.ask(
        "What share of its peak arithmetic does the H100 reach while it generates these tokens?",
        list(share.values()),
    )
    how_busy
    return how_busy, share


@app.cell
def _(how_busy, one, share, teach):
    teach.wait(how_busy, aloud=True)
    teach.verdict(
        how_busy,
        teach.how_often(one.metric("performance.mfu"), share),
        f"""
        It reaches {teach.metric(one, "performance.mfu")}. The multiplications of a token would take
        {teach.metric(one, "performance.compute_time")}; to read the weights takes
        {teach.metric(one, "performance.memory_time")}. The two overlap, so the longer decides:
        a token takes {teach.metric(one, "performance.latency")}, and the arithmetic waits.
        """,
    )
    return


@app.cell
def _(how_busy, one, teach, viz):
    teach.wait(how_busy)
    teach.show(
        teach.say(
            """
            The *roofline* (Williams 2009) shows this. Left to right: operations for each byte that is
            moved, the *intensity*. Upwards: operations a second. Under the sloping part, memory limits
            (wall 2); under the flat part, arithmetic does (wall 1). Kernels reach less than the roof, and
            that is wall 3.
            """
        ),
        viz.roofline(one),
        teach.wall(one, 1, 2, 3),
    )
    return


@app.cell
def _(how_busy, teach):
    teach.wait(how_busy)
    longer = {
        1: "hardly longer",
        2: "about twice as long",
        8: "about 8 times as long",
        64: "64 times as long",
    }
    batch_64 = teach.ask(
        """
        ## Sixty-four answers at a time
        Now 64 people ask at once, and the H100 generates the next token of all 64 in one pass. That is
        64 times the arithmetic. How long does the pass take, against that for one person?
        """,
        list(longer.values()),
    )
    batch_64
    return batch_64, longer


@app.cell
def _(batch_64, chip, longer, mlsysim, one, teach):
    teach.wait(batch_64, aloud=True)

    def at_batch(batch, context=2048, on=chip):
        return mlsysim.SystemEvaluator.evaluate(
            f"Batch of {batch}", "Llama3_8B", on, batch_size=batch, seq_len=context
        )

    many = at_batch(64)
    slower = many.metric("performance.latency") / one.metric("performance.latency")
    teach.verdict(
        batch_64,
        teach.how_often(slower, longer),
        f"""
        A pass takes {teach.metric(many, "performance.latency")}, {slower:.1f} times as long, for 64 times
        the answers. The weights are read once for all of them: a batch is what turns a memory-bound
        workload into a useful one. What does grow is each answer's own KV cache, which must be read too.
        """,
    )
    return (at_batch,)


@app.cell
def _(batch_64, teach):
    teach.wait(batch_64)
    stops = {
        "compute": "arithmetic: from some batch on, it is bound by compute",
        "memory": "memory: it is full before that",
        "none": "nothing, up to a batch of 1,024",
    }
    what_stops = teach.ask(
        """
        ## And on from there
        The batch doubles, and doubles again: 128, 256, 512 and 1,024 answers, each with 2,048 tokens
        so far. What stops it first?
        """,
        list(stops.values()),
    )
    what_stops
    return stops, what_stops


@app.cell
def _(at_batch, stops, teach, what_stops):
    teach.wait(what_stops, aloud=True)
    ladder = [at_batch(2**i) for i in range(11)]
    ends = next((e for e in ladder if not e.feasible or e.bottleneck == "compute"), None)
    first = "none" if ends is None else "memory" if not ends.feasible else "compute"
    fits = [e for e in ladder if e.feasible]
    teach.show(
        teach.verdict(
            what_stops,
            stops[first],
            """
            Each answer brings a KV cache of its own, so its bytes grow with the batch as its operations do:
            in the figure below, *attention* stays where it is, whatever the batch, while the matrices move to
            the right. The same cache fills the capacity. So wall 2 has two faces, bandwidth and
            capacity, and a batch walks from one to the other without coming near wall 1.
            """,
        ),
        teach.table(
            ("batch", "pass", "tokens a second", "share of peak", "memory", "bound by"),
            [
                (
                    e.scenario.name.removeprefix("Batch of "),
                    teach.metric(e, "performance.latency"),
                    teach.metric(e, "performance.throughput"),
                    teach.metric(e, "performance.mfu"),
                    teach.metric(e, "feasibility.memory"),
                    e.bottleneck,
                )
                for e in fits
            ],
        ),
    )
    return


@app.cell
def _(teach, what_stops):
    teach.wait(what_stops)
    batch = teach.slider("batch", [2**i for i in range(11)], 32)
    context = teach.slider("context in tokens", [2**i for i in range(7, 15)], 2048)
    on = teach.choice("accelerator", ["A100", "H100", "H200", "B200", "MI300X", "L40S", "RTX4090"], "H100")
    teach.show(
        teach.say("## Try it\nMove the sliders and watch the workload under its roof."),
        teach.controls(batch, context, on),
    )
    return batch, context, on


@app.cell
def _(at_batch, batch, context, on, teach, viz):
    tried = at_batch(batch.value, context.value, on.value)
    room = "fits" if tried.feasible else "does **not** fit"
    teach.show(
        teach.say(
            f"""
            A batch of {batch.value} with {context.value:,} tokens each {room} into
            {teach.metric(tried, "feasibility.memory_capacity")} of an {on.value}. A pass takes
            **{teach.metric(tried, "performance.latency")}**, reaches
            {teach.metric(tried, "performance.mfu")} of the peak, and is bound by **{tried.bottleneck}**.
            """
        ),
        viz.roofline(tried),
    )
    return


@app.cell
def _(teach, what_stops):
    teach.wait(what_stops)
    teach.end(
        "roofline",
        """
        1. With which context is the same model bound by *compute* on an H100, at a batch that fits?
           Predict the direction first, then look for it with the sliders.
        2. Which of the accelerators above is the fastest for one person (batch 1)? Order them on paper by
           a single number of their datasheets: `mlsysim zoo hardware --sort -bandwidth`. Then check.
        3. Training reads the weights once for thousands of tokens. Say in one sentence what that does to
           the intensity, and what then limits it. The next lab shows whether you are right.
        """,
    )
    return


if __name__ == "__main__":
    app.run()
