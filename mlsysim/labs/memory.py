import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Will it fit?", html_head_file="head.html")


@app.cell
def _():
    import mlsysim
    from mlsysim import viz
    from mlsysim.labs import teach

    return mlsysim, teach, viz


@app.cell
def _(teach):
    teach.begin(
        "memory",
        """
        "Out of memory" is the first wall that most people meet when they train. The model fits into one
        accelerator easily, and yet the run stops at its first step. This lab finds out what else is in
        there, and what it costs to move it out.
        """,
    )
    return


@app.cell
def _(mlsysim, teach):
    answering = mlsysim.SystemEvaluator.evaluate("Inference", "Llama3_8B", "H100")

    def train(zero=0, recompute="none", microbatch=1, context=8192):
        """Train Llama 3 8B on one server of 8 H100, each with the whole model."""
        layout = {
            "tp": 1,
            "cp": 1,
            "pp": 1,
            "zero_stage": zero,
            "recompute": recompute,
            "microbatch_size": microbatch,
        }
        return mlsysim.evaluate_plan(
            {
                "version": "1.0",
                "name": f"Llama 3 8B, ZeRO {zero}, recompute {recompute}",
                "workload": {
                    "name": "Llama3_8B",
                    "phase": "training",
                    "batch_size": 256,
                    "seq_len": context,
                },
                "hardware": {"name": "H100", "nodes": 1},
                "parallelism": layout,
            }
        )

    plain = train()
    teach.say(
        f"""
        ## What training adds
        Llama 3 8B answers questions on one H100: its weights take
        {teach.metric(answering, "feasibility.state")} of
        {teach.metric(answering, "feasibility.memory_capacity")}. Now it is to be trained, on a server
        of eight. Each of them holds the whole model and works on sequences of its own (data
        parallelism, the plainest way).
        """
    )
    return answering, plain, train


@app.cell
def _(teach):
    times = {
        1: "the same: weights are weights",
        2: "about twice as much: weights and gradients",
        4: "about four times as much",
        8: "about eight times as much",
    }
    state = teach.ask(
        """
        How much does an H100 then hold for the weights and all that is kept for each of them
        (gradients, the state of the Adam optimizer), against the weights alone?
        """,
        list(times.values()),
    )
    state
    return state, times


@app.cell
def _(answering, plain, state, teach, times, viz):
    teach.wait(state, aloud=True)
    grown = plain.metric("feasibility.state") / answering.metric("feasibility.state")
    teach.show(
        teach.verdict(
            state,
            teach.how_often(grown, times),
            f"""
            It is {grown:.1f} times as much, {teach.metric(plain, "feasibility.state")}: a gradient for each
            weight, and for Adam a copy of the weight in full precision and two running means, in full
            precision too (Rajbhandari 2020). Activations, which wait for the backward pass, add
            {teach.metric(plain, "feasibility.activations")}. In sum
            {teach.metric(plain, "feasibility.memory")}, where
            {teach.metric(plain, "feasibility.memory_capacity")} are there: **it does not fit**.
            """,
        ),
        viz.memory(plain),
        teach.wall(plain, 2),
    )
    return


@app.cell
def _(state, teach):
    teach.wait(state)
    costs = {
        1.001: "nothing worth a word",
        1.08: "about 8%",
        1.3: "about 30%",
        2.0: "twice the time",
    }
    recomputing = teach.ask(
        """
        ## Two ways to make room
        **Share the state.** All eight hold the same optimizer state. ZeRO gives each an eighth of it
        (stage 1), of the gradients too (2), and of the weights (3), for some traffic.

        **Forget the activations.** Full recomputation keeps only what goes into each layer, and
        calculates the rest again when the backward pass needs it.

        How much longer is a step if every layer is recomputed (with ZeRO 1, so that it fits)?
        """,
        list(costs.values()),
    )
    recomputing
    return costs, recomputing


@app.cell
def _(costs, recomputing, teach, train):
    teach.wait(recomputing, aloud=True)
    kept, forgotten = train(zero=1), train(zero=1, recompute="full")
    longer = forgotten.metric("performance.latency") / kept.metric("performance.latency")
    ways = [(z, r, train(zero=z, recompute=r)) for z in range(4) for r in ("none", "full")]
    teach.show(
        teach.verdict(
            recomputing,
            teach.how_often(longer, costs),
            f"""
            A step takes {longer - 1.0:.0%} longer: one more forward pass beside a forward and a backward
            pass that costs about two. Sharing the state is another matter. Look down the table: which way
            of making room would you take?
            """,
        ),
        teach.table(
            ("ZeRO", "recompute", "state", "activations", "memory", "fits", "step"),
            [
                (
                    str(z),
                    r,
                    teach.metric(e, "feasibility.state"),
                    teach.metric(e, "feasibility.activations"),
                    teach.metric(e, "feasibility.memory"),
                    "yes" if e.feasible else "no",
                    teach.metric(e, "performance.latency"),
                )
                for z, r, e in ways
            ],
        ),
        teach.say(
            """
            The surprise is how cheap ZeRO is inside one server: gradients are summed over all ranks anyway,
            and a sum whose result is spread out moves no more bytes. Recomputation buys its room with
            arithmetic, and arithmetic is what this workload has least of.
            """
        ),
    )
    return


@app.cell
def _(recomputing, teach):
    teach.wait(recomputing)
    zero = teach.choice("ZeRO stage", {str(i): i for i in range(4)}, "1")
    recompute = teach.choice("recompute", ["none", "selective", "full"], "none")
    microbatch = teach.slider("microbatch", [1, 2, 4, 8], 1)
    context = teach.slider("context in tokens", [2048, 4096, 8192, 16384, 32768], 8192)
    teach.show(
        teach.say(
            """
            ## Try it
            Find a setting that fits and is as fast as can be. Then double the context: which part grows?
            """
        ),
        teach.controls(zero, recompute, microbatch, context),
    )
    return context, microbatch, recompute, zero


@app.cell
def _(context, microbatch, recompute, teach, train, viz, zero):
    tried = train(zero.value, recompute.value, microbatch.value, context.value)
    room = "It fits" if tried.feasible else "It does **not** fit"
    teach.show(
        teach.say(
            f"""
            {room}: {teach.metric(tried, "feasibility.memory")} of
            {teach.metric(tried, "feasibility.memory_capacity")}. A step takes
            **{teach.metric(tried, "performance.latency")}** ({teach.metric(tried, "performance.mfu")} MFU).
            """
        ),
        viz.memory(tried),
    )
    return


@app.cell
def _(recomputing, teach):
    teach.wait(recomputing)
    servers = ("1", "2", "4", "8 or more")
    big = teach.ask(
        """
        ## Nine times the model
        Llama 3 70B does not fit into one such server this way. How many servers of eight H100 does it take
        at least to train it, if every trick is allowed, also to lay the optimizer state into the
        host's memory?
        """,
        servers,
    )
    big
    return big, servers


@app.cell
def _(big, mlsysim, servers, teach):
    teach.wait(big, aloud=True)

    def best(nodes):
        """Return the fastest layout of the 70B model on some servers, proven."""
        return mlsysim.optimize.parallelism(
            {
                "version": "1.0",
                "workload": {
                    "name": "Llama3_70B",
                    "phase": "training",
                    "batch_size": 256,
                    "seq_len": 8192,
                },
                "hardware": {"name": "H100", "nodes": nodes},
            }
        )

    found = [(n, best(n)) for n in (1, 4, 32)]
    least = next((str(n) for n, o in found if o.status == "optimal" and o.exit_code != 2), servers[-1])
    teach.show(
        teach.verdict(
            big,
            least,
            """
            The solver looked at every layout and proved which is the fastest. The more servers there are
            to share the state, the more of these tricks it takes back, because each costs time.
            """,
        ),
        teach.table(
            ("servers", "fastest layout", "optimizer", "memory", "step", "MFU"),
            [
                (
                    str(n),
                    ", ".join(
                        f"{k} {o.decided[k]}" for k in ("tp", "cp", "pp", "dp") if o.decided.get(k, 1) > 1
                    )
                    + f", ZeRO {o.decided['zero_stage']}",
                    "host" if o.decided["offload_optimizer"] else "accelerator",
                    teach.metric(o.evaluation, "feasibility.memory"),
                    teach.metric(o.evaluation, "performance.latency"),
                    teach.metric(o.evaluation, "performance.mfu"),
                )
                for n, o in found
                if o.decided
            ],
        ),
    )
    return


@app.cell
def _(big, teach):
    teach.wait(big)
    teach.end(
        "memory",
        """
        1. With a context of 32,768 tokens, find the fastest setting above that fits. Write down which
           part of the memory made you choose each knob.
        2. Let the solver do the same, with all layouts open: `mlsysim.optimize.parallelism(plan)` with the
           plan of `train` and no `parallelism` block. What does it use that the knobs above do not have?
        3. `mlsysim lab memory --edit` opens a copy of this lab. Make `train` take an `RTX4090` in place of
           the H100. What must change until a model of this size fits, and which model does as it is?
        """,
    )
    return


if __name__ == "__main__":
    app.run()
