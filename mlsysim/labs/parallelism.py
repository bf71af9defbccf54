import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Find the best parallelism and beat the solver", html_head_file="head.html")


@app.cell
def _():
    import mlsysim
    from mlsysim import viz
    from mlsysim.labs import teach

    return mlsysim, teach, viz


@app.cell
def _(teach):
    teach.begin(
        "parallelism",
        """
        A model of 70 billion parameters, 512 H100, one training step: who calculates what? There are
        millions of answers. You look for a good one by hand. Then the solver shows the best, with a
        proof that there is none better, and you find out what it knew.
        """,
    )
    return


@app.cell
def _(mlsysim, teach):
    plan = {
        "version": "1.0",
        "name": "Llama 3 70B on 512 H100",
        "workload": {"name": "Llama3_70B", "phase": "training", "batch_size": 1024, "seq_len": 8192},
        "hardware": {"name": "H100", "nodes": 64},
    }

    def laid_out(**layout):
        """Evaluate the plan with some decisions taken."""
        return mlsysim.evaluate_plan(plan | {"parallelism": layout})

    teach.say(
        """
        ## The knobs
        - **tp**, tensor parallelism, splits each matrix. It exchanges activations twice a layer, so its
          ranks want to share a server (wall 10).
        - **pp**, pipeline parallelism, gives each stage some layers. Stages wait at the beginning and the
          end of a step, the *bubble*; **interleave** gives each stage several smaller pieces, and the
          bubble shrinks.
        - **cp**, context parallelism, splits the sequence.
        - **dp**, data parallelism, is what is left: 512 / (tp x pp x cp) copies, each with sequences of its
          own. They sum their gradients once a step (wall 14).
        - **microbatch**: how many sequences go through at once. **recompute** and **ZeRO** make room.
        """
    )
    return laid_out, plan


@app.cell
def _(teach):
    tp_options = ["1", "2", "4", "8"]
    best_tp = teach.ask(
        """
        A server holds 8 H100. Which tensor parallelism will the fastest layout of all have?
        """,
        tp_options,
    )
    best_tp
    return best_tp, tp_options


@app.cell
def _(best_tp, teach):
    teach.wait(best_tp, aloud=True)
    tp = teach.choice("tp", {str(i): i for i in (1, 2, 4, 8, 16)}, "8")
    pp = teach.choice("pp", {str(i): i for i in (1, 2, 4, 8, 16)}, "1")
    cp = teach.choice("cp", {str(i): i for i in (1, 2, 4)}, "1")
    microbatch = teach.slider("microbatch", [1, 2, 4, 8], 1)
    interleave = teach.choice("interleave", {str(i): i for i in (1, 2, 4, 5, 8, 10, 20)}, "1")
    recompute = teach.choice("recompute", ["none", "selective", "full"], "none")
    zero = teach.choice("ZeRO stage", {str(i): i for i in (0, 1, 2, 3)}, "1")
    hidden = teach.choice("hidden traffic", {"gradients": False, "all that can be": True}, "gradients")
    tries = []
    teach.show(
        teach.say("## Your turn\nSettle what you want to settle. Your tries are kept below."),
        teach.controls(tp, pp, cp, microbatch, interleave, recompute, zero, hidden),
    )
    return cp, hidden, interleave, microbatch, pp, recompute, tp, tries, zero


@app.cell
def _(
    cp,
    hidden,
    interleave,
    laid_out,
    microbatch,
    mlsysim,
    pp,
    recompute,
    teach,
    tp,
    tries,
    viz,
    zero,
):
    layout = {
        "tp": tp.value,
        "pp": pp.value,
        "cp": cp.value,
        "microbatch_size": microbatch.value,
        "interleave": interleave.value,
        "recompute": recompute.value,
        "zero_stage": zero.value,
    } | ({"overlap_tensor": True, "overlap_pipeline": pp.value > 1} if hidden.value else {})
    try:
        mine = laid_out(**layout)
    except mlsysim.MlsysimError as error:
        mine = None
        outcome = teach.trouble(error)
    else:
        teach.keep(tries, mine)
        broken = ", ".join(f"wall {w.wall.number} {w.wall.name}" for w in mine.walls if w.status == "fail")
        outcome = teach.say(
            f"""
            {f"**It cannot run**: {broken}." if broken else "It runs."} A step takes
            **{teach.metric(mine, "performance.latency")}** at {teach.metric(mine, "performance.mfu")}
            MFU, with {teach.metric(mine, "feasibility.memory")} of
            {teach.metric(mine, "feasibility.memory_capacity")} in use.
            """
        )
    teach.show(
        outcome,
        *(() if mine is None else (viz.step_time(mine), viz.timeline(mine))),
        teach.best_of(tries, "performance.latency"),
    )
    return (mine,)


@app.cell
def _(best_tp, teach):
    teach.wait(best_tp)
    gaps = {
        1.0001: "not at all: I have found the best layout",
        1.02: "by about 2%",
        1.08: "by about 8%",
        1.2: "by about 20%",
        1.5: "by about 50%",
    }
    gap = teach.ask(
        """
        ## Beat the solver
        When you cannot do better any more: by how much is your best layout slower than the best there is?
        Your answer uncovers the solver's, so take your time.
        """,
        list(gaps.values()),
    )
    gap
    return gap, gaps


@app.cell
def _(gap, mlsysim, plan, teach):
    teach.wait(gap, aloud=True)
    best = mlsysim.optimize.parallelism(plan)
    return (best,)


@app.cell
def _(best, gap, gaps, mine, teach, tries, viz):
    yours = min(tries, key=lambda e: e.metric("performance.latency"), default=mine)
    if yours is None:
        verdict = None
    else:
        slower = yours.metric("performance.latency") / best.evaluation.metric("performance.latency")
        verdict = teach.verdict(
            gap,
            teach.how_often(slower, gaps),
            f"""
            Your best: {yours.layout}. A step takes {teach.metric(yours, "performance.latency")}.

            The solver's: {best.evaluation.layout}. A step takes
            {teach.metric(best.evaluation, "performance.latency")}. Yours takes {slower - 1.0:.1%} more time.
            """,
        )
    teach.show(
        verdict,
        teach.say(
            f"""
            **The proof.** {best.space_size:,} layouts are legal. For all but {best.solved.left:,.0f} a bound
            shows that they break a wall or are slower than a layout that is known; those that are left
            were gone through one by one. So the gap between the answer and what could be better
            is {best.objective.gap:.2%}.
            """
        ),
        viz.step_time(best.evaluation),
        viz.timeline(best.evaluation),
    )
    return


@app.cell
def _(best, best_tp, gap, mlsysim, plan, teach, tp_options):
    teach.wait(best_tp, gap)
    by_tp = [(t, mlsysim.optimize.parallelism(plan | {"parallelism": {"tp": int(t)}})) for t in tp_options]
    teach.show(
        teach.say("## Why"),
        teach.verdict(
            best_tp,
            str(best.decided["tp"]),
            """
            Below is the best layout for each tensor parallelism, each proven. All of them fill the memory
            (wall 2), each in its own way. With little tensor parallelism, room has to be bought: with
            recomputation, which is more work, or with ZeRO and context parallelism, which are more
            traffic (wall 14). With much of it there is room, but every layer exchanges more, and its
            narrow pieces of matrices are multiplied less well (wall 3).
            """,
        ),
        teach.table(
            ("tp", "best layout with it", "memory", "work", "traffic", "bubble", "step"),
            [
                (
                    t,
                    str(o.evaluation.layout).split("  ", 1)[1].replace("  ", ", "),
                    teach.metric(o.evaluation, "feasibility.memory"),
                    teach.metric(o.evaluation, "performance.compute_time"),
                    teach.metric(o.evaluation, "performance.communication_time"),
                    teach.metric(o.evaluation, "performance.bubble_time"),
                    teach.metric(o.evaluation, "performance.latency"),
                )
                for t, o in by_tp
                if o.decided
            ],
        ),
        teach.say(f"The solver's layout rests on this: {'; '.join(b.text for b in best.because)}."),
        teach.wall(best.evaluation, 2, 10, 14),
    )
    return


@app.cell
def _(gap, teach):
    teach.wait(gap)
    teach.end(
        "parallelism",
        """
        1. Give the H100 more memory: add `"what_if": {"capacity": "120 GiB"}` to the plan
           (`mlsysim lab parallelism --edit` opens a copy). Which knob moves, and by how much is a step
           shorter? Say it before you run it.
        2. Quarter the batch. Which part of the step grows, and what does the solver do about it?
        3. Print the solver's answer for a framework that you know:
           `mlsysim.optimize.parallelism(plan, emit="megatron").handover.text`.
        """,
    )
    return


if __name__ == "__main__":
    app.run()
