"""Wall 11: complexity."""

from __future__ import annotations

from mlsysim.physics import scaling
from mlsysim.walls.base import Row, State, Wall


class Complexity(Wall):
    """Training takes six operations a parameter and token, and both want to grow together.

    Operations after Kaplan 2020, compute-optimal data and loss after Hoffmann 2022 with the
    coefficients of Besiroglu 2024.
    """

    number, name, domain = 11, "Complexity", "algorithm"
    equation = (
        "6 P D <= compute budget;  D / step tokens x time <= duration;  "
        "tokens a parameter asked for <= D / P;  loss(P, D) <= target"
    )
    sources = ("hoffmann_2022", "kaplan_2020", "besiroglu_2024")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare operations, time, data and loss of the whole run with what the plan allows."""
        run: scaling.Budget | None = getattr(s, "scaling", None)
        if run is None:
            return ()
        rows = [
            Row(
                scaling.training_flops(run.params, run.tokens),
                getattr(s.limits, "compute", None),
                "TFLOP",
                "operations of the whole run, 6 a parameter and token",
            )
        ]
        if run.duration is not None and s.tokens:
            taken = scaling.training_time(s.time, run.tokens, s.tokens)
            rows.append(Row(taken, run.duration, "day", "time to see all tokens against the duration"))
        rows.append(self._data(run, getattr(s.limits, "tokens_per_parameter", None)))
        if run.fit is not None:
            rows.append(
                Row(
                    scaling.loss(run.params, run.tokens, run.fit),
                    getattr(s.limits, "loss", None),
                    "",
                    "loss by the fitted scaling law, nats a token",
                )
            )
        return tuple(rows)

    def _data(self, run: scaling.Budget, least: float | None) -> Row:
        optimal = f"{run.ratio:g} a parameter are compute-optimal"
        if least is None:
            return Row(run.params * run.ratio, None, "token", f"compute-optimal tokens: {optimal}")
        return Row(
            run.params * least,
            run.tokens,
            "token",
            f"tokens at {least:g} a parameter against those of the run; {optimal}",
        )

    def why_not(self, s: State) -> str:
        """Only the training of a model on tokens has a scaling law here."""
        if s.phase != "training":
            return "inference trains nothing"
        return "no number of training tokens is known" if s.tokens else "the model reads no tokens"
