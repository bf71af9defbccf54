"""Every kind of plot, drawn in a browser with names as long as names get: no two labels overlap."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

import mlsysim
from mlsysim import Layout, viz
from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.core.evaluation import evaluate
from mlsysim.core.solver.sensitivity import sensitivity
from mlsysim.viz.kinds import kinds

EXAMPLES = Path(__file__).parents[2] / "examples"
LONG = (
    "A very long name of a scenario that somebody gave with <b>markup</b> & more of it, to the end of it all"
)
TRAINING = {
    "version": "1.0",
    "name": LONG,
    "workload": {"name": "Llama3_70B", "batch_size": 512},
    "hardware": {"name": "H100", "nodes": 8},
    "ops": {"region": "Quebec"},
}
# what solvers are asked about is small
SMALL = TRAINING | {
    "workload": {"name": "Llama3_8B", "batch_size": 64},
    "hardware": {"name": "H100", "nodes": 1},
}


def mix():
    """The example of a mix with two kinds of accelerators."""
    plan = yaml.safe_load((EXAMPLES / "serving_mix.yaml").read_text(encoding="utf-8"))
    plan["mix"]["accelerators"] = [{"name": "L40S"}, {"name": "A100", "available": 4}]
    return plan | {"name": LONG}


def fleet():
    """The small fleet with long names."""
    plan = yaml.safe_load((EXAMPLES / "fleet_small.yaml").read_text(encoding="utf-8"))
    plan["name"] = LONG
    for job in plan["jobs"]:
        job["name"] = f"{job['name']}, {LONG}"[:60]
    return plan


@pytest.fixture(scope="module")
def figures():
    """A figure of every kind, by name."""
    s = mlsysim.scenario(TRAINING)
    training = evaluate(s)
    piped = evaluate(s, Layout(tp=8, pp=8, dp=1, interleave=2))
    plain = evaluate(s, Layout(tp=8, pp=4, dp=2, recompute="full"))
    service = mlsysim.SystemEvaluator.evaluate(LONG, "DeepSeek_V3", "B200", 64, "fp8")
    taxed = mlsysim.optimize.placement(SMALL, carbon_tax="0:300")
    front = mlsysim.optimize.placement(SMALL, pareto="cost,carbon,water")
    placed = mlsysim.optimize.placement(fleet(), carbon_tax="0:100")
    from mlsysim.core.validation.judge import validate

    return {
        "roofline": viz.roofline(training),
        "roofline-experts": viz.roofline(service),
        "walls": training.plot(),
        "walls-service": viz.headroom(service),
        "memory": training.plot("memory"),
        "memory-service": viz.memory(service),
        "time": viz.step_time(piped),
        "time-service": service.plot("time"),
        "timeline": viz.timeline(plain),
        "timeline-interleaved": viz.timeline(piped),
        "pareto": viz.pareto(mlsysim.optimize.pareto(SMALL, ["time", "feasibility.memory"])),
        "pareto-regions": front.plot("pareto"),
        "breakpoints": taxed.plot(),
        "breakpoints-fleet": viz.breakpoints(placed),
        "map": viz.placement_map(taxed),
        "map-fleet": viz.placement_map(placed),
        "gantt": placed.plot(),
        "tornado": viz.tornado(sensitivity(s)),
        "tornado-planned": mlsysim.solve.sensitivity(
            SMALL, supplies=["peak", "bandwidth", "capacity"]
        ).plot(),
        "validation": validate(kind="serving").plot(),
        "mix": mlsysim.optimize.serving(mix()).plot(),
    }


# text that must stay apart: ticks, titles, names of series, remarks
LABELS = (
    ".gtitle, .xtick text, .ytick text, .y2tick text, .xtitle, .ytitle, .y2title, .legendtext, "
    ".legendtitletext"
)
APART = """(labels) => Array.from(document.querySelectorAll('.js-plotly-plot')).flatMap(plot => {
  const frame = plot.getBoundingClientRect(), bad = [];
  const all = Array.from(plot.querySelectorAll(labels)).filter(t => t.textContent.trim())
    .map(t => [t.textContent, t.getBoundingClientRect()]).filter(([_, r]) => r.width > 0);
  for (const [text, r] of all)
    if (r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1
        || r.bottom > frame.bottom + 1)
      bad.push(plot.id + ': cut off: ' + text);
  for (let i = 0; i < all.length; i++) for (let j = i + 1; j < all.length; j++) {
    const a = all[i][1], b = all[j][1];
    const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (w > 2 && h > 3) bad.push(plot.id + ': ' + all[i][0] + ' | ' + all[j][0]);
  }
  return bad;
})"""


def test_every_kind_is_drawn_and_its_labels_stay_apart(figures, tab, tmp_path):
    parts = [
        f'<div id="at-{name}" style="width:900px">'
        + made.to_html(
            full_html=False, include_plotlyjs=n == 0, div_id=name, config={"displayModeBar": False}
        )
        + "</div>"
        for n, (name, made) in enumerate(figures.items())
    ]
    page = tmp_path / "plots.html"
    head = "<!doctype html><html lang=en><head><meta charset=utf-8><link rel=icon href='data:,'></head>"
    page.write_text(f"{head}<body style='margin:0'>{''.join(parts)}</body></html>", encoding="utf-8")
    tab.open(page)
    assert tab.plots() == len(figures)
    assert tab.page.locator("b").count() == 0  # no markup comes out of a name
    for name in figures:
        tab.shot(f"plot-{name}", of=f"#at-{name}")
    tab.shot("plots-grey", grey=True)
    assert tab.page.evaluate(APART, LABELS) == []


def test_every_axis_has_its_unit(figures):
    for name, made in figures.items():
        for key in (k for k in made.layout.to_plotly_json() if k.startswith(("xaxis", "yaxis"))):
            axis = made.layout[key]
            title = axis.title.text
            if title:
                assert title == "stage" or "[" in title, (name, key, title)
            else:  # names, not numbers
                assert key.startswith("yaxis"), name


def test_series_differ_without_colour(figures):
    for name, made in figures.items():
        looks = []
        for trace in made.data:
            if trace.showlegend is False or trace.type not in ("bar", "scatter"):
                continue
            if trace.type == "bar":
                looks.append((trace.marker.pattern.shape, trace.marker.color))
            else:
                looks.append((trace.line.dash, trace.marker.symbol, trace.mode))
        assert len(looks) == len(set(looks)), name


def test_numbers_are_those_of_the_evaluation():
    e = mlsysim.evaluate_plan(TRAINING)
    drawn = viz.memory(e)
    *_, held = drawn.data
    assert held.x[0] * 2**30 == pytest.approx(e.state.memory, rel=1e-9)
    *_, step = viz.step_time(e).data
    assert step.x[0] == pytest.approx(e.state.time, rel=1e-9)
    bars = {y: x for t in viz.headroom(e).data for y, x in zip(t.y, t.x, strict=True)}
    for w in e.walls:
        if w.headroom is not None:
            assert bars[f"{w.wall.number} {w.wall.name}"] == pytest.approx(min(1 - w.headroom, 2.0))


def test_unknown_kinds_give_the_nearest():
    e = mlsysim.evaluate_plan(TRAINING)
    with pytest.raises(InputError, match="Nearest: timeline, time"):
        e.plot("timelin")
    assert list(kinds(e)) == ["walls", "roofline", "memory", "time", "timeline"]
    served = mlsysim.SystemEvaluator.evaluate("", "Llama3_8B", "H100")
    with pytest.raises(InputError):
        served.plot("timeline")
    with pytest.raises(InputError, match="only training has a pipeline"):
        viz.timeline(served)
    with pytest.raises(InputError, match="no range of the carbon tax"):
        viz.breakpoints(mlsysim.optimize.placement(SMALL))
    with pytest.raises(InputError, match="no plot of this"):
        viz.plot(object())


def test_without_plotly_a_plot_says_what_to_install(monkeypatch):
    e = mlsysim.evaluate_plan(TRAINING)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtraError, match=r"mlsysim\[labs\]"):
        e.plot()
    with pytest.raises(MissingExtraError, match=r"mlsysim\[labs\]"):
        mlsysim.viz.roofline(e)


def test_no_module_takes_the_place_of_a_function():
    modules = {path.stem for path in Path(viz.__file__).parent.glob("*.py")}
    assert not modules & set(viz.__all__)
    mlsysim.evaluate_plan(TRAINING).plot("roofline")
    assert all(callable(getattr(viz, name)) for name in viz.__all__)
