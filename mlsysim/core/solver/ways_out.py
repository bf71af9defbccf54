"""What would make room where nothing fits: each way out is the least of its kind, and is tried.

A way is a change of the plan: more of a supply, a wider limit, a decision left open, more accelerators,
another accelerator. How much it takes is a minimum that a solver proves; that it is enough is shown by
planning anew with the change made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from mlsysim.core import text, units
from mlsysim.core.errors import InputError, MismatchError
from mlsysim.core.evaluation import Evaluation, Json, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario, Settings
from mlsysim.core.solver.asked import Asked, module
from mlsysim.core.solver.decided import decided
from mlsysim.core.solver.drafts import Draft, looser, merged, parts, server_size, sized
from mlsysim.core.solver.objectives import goal
from mlsysim.core.solver.question import Question, known
from mlsysim.core.solver.search import decision_tag, index_of
from mlsysim.core.tolerance import ROUNDING, TOLERANCE
from mlsysim.core.variants import DECIDED
from mlsysim.walls import WALLS, Limits

# Fleets are looked at up to so many times the plan's.
LARGEST_FLEET = 16
MOST_COUNTS = 8
# Accelerators of the registry that are tried, from the nearest on.
MOST_PARTS = 4
# A supply a hair above the least, so that rounding does not decide.
HAIR = 1.0 + ROUNDING


@dataclass(frozen=True)
class Way:
    """A change with which the plan holds.

    Attributes:
        kind: ``supply``, ``limit``, ``decision``, ``accelerators`` or ``hardware``.
        title: what changes, for people.
        patch: the same as entries of a plan; null takes an entry away.
        needed, there, unit: the amount that it takes at least, and that of the plan, where it has one.
        scenario: the plan with the change.
        evaluation: the best plan with it, as ``eval`` sees it.
    """

    kind: str
    title: str
    patch: Json
    scenario: Scenario
    evaluation: Evaluation
    needed: float | None = None
    there: float | None = None
    unit: str = ""

    def to_dict(self) -> Json:
        """Return the way for JSON."""
        e = self.evaluation
        return {
            "kind": self.kind,
            "title": self.title,
            "patch": self.patch,
            "needed": self.needed,
            "there": self.there,
            "unit": self.unit or None,
            "latency_ms": e.metric("performance.latency"),
            "tco_usd": e.metric("macro.tco_usd"),
            "plan": decided(e),
        }


def ways_out(s: Scenario, tags: Sequence[str], ask: Asked, best: Evaluation | None = None) -> tuple[Way, ...]:
    """Return changes with which a plan holds that does not, each tried.

    Args:
        s: a training scenario of which nothing holds.
        tags: of what cannot hold together.
        ask: how to solve.
        best: the best plan without the limits in the way, if they alone are.
    """
    finder = _Finder(s, tuple(tags), ask)
    found: list[Way] = []
    for draft in finder.drafts():
        if ask.options.expired:
            break
        way = finder.tried(draft)
        if way is not None:
            found.append(way)
    if best is not None and not any(w.kind in ("limit", "supply") for w in found):
        both = finder.together(best)
        way = None if both is None else finder.tried(both)
        found += [] if way is None else [way]
    return tuple(found)


class _Finder:
    """Looks for ways out of one conflict."""

    def __init__(self, s: Scenario, tags: tuple[str, ...], ask: Asked) -> None:
        self.s, self.tags, self.ask = s, tags, ask
        self.question = Question(s, goal("time"), ask)
        self.recipe = self.question.recipe()
        self.before = self.question.before
        self.far = 1.0
        self.known: dict[str, Way | None] = {}

    def tried(self, draft: Draft) -> Way | None:
        """Return the way if the best plan with the change holds; None if none does."""
        key = repr(draft.patch)
        if key not in self.known:
            self.known[key] = self._tried(draft)
        way = self.known[key]
        return None if way is None else replace(way, title=draft.title)

    def _tried(self, draft: Draft) -> Way | None:
        try:
            changed = resolve(draft.settings)
            q = Question(changed, self.question.goal, self.ask)
            recipe = q.recipe()
        except InputError:  # this change makes no plan at all: not a way out
            return None
        o = q.solve(recipe, self.before).outcome
        if o.objective is None:
            return None
        e = evaluate(*recipe.decode(o.cells))
        if e.exit_code != 0:
            raise MismatchError(
                f"{draft.title}: the solver says that the plan holds then, eval says {e.status}",
                hint="this is a defect of mlsysim: please report the plan",
            )
        return Way(draft.kind, draft.title, draft.patch, changed, e, draft.needed, draft.there, draft.unit)

    def drafts(self) -> Iterator[Draft]:
        """Yield changes from those of the conflict's own members to those of the whole fleet."""
        for tag in self.tags:
            yield from self._of_member(tag)
        yield from self._decisions()
        if self.far <= LARGEST_FLEET:  # no machine or fleet that is looked at makes up for more
            yield from self._fleets()
            yield from self._parts()

    def _of_member(self, tag: str) -> Iterator[Draft]:
        """Yield what one member of the conflict asks for at least, all other rows kept."""
        rows = [r for r in self.recipe.problem.rows if r.tag == tag and r.may_bind]
        starts = known(self.recipe, self.before)
        for row in rows:
            found = module("infeasible").least(
                self.recipe.problem,
                row,
                self.recipe.problem.rows,
                self.ask.solver,
                self.ask.options,
                starts,
            )
            if found is not None and found[0] > 1.0:
                self.far = max(self.far, found[0])
                factor = found[0] * (1.0 + TOLERANCE) * HAIR
                yield from self._wider(self.s.settings, tag, row.name, factor)

    def together(self, best: Evaluation) -> Draft | None:
        """Return all limits in the way made as wide as a plan needs them that keeps the others."""
        draft: Draft | None = None
        t = self.s.settings
        for c in module("rows").comparisons(best.state, t.bounds):
            if c.tag in self.tags and float(c.demand) > float(c.supply):
                factor = float(c.demand) / float(c.supply) * (1.0 + TOLERANCE) * HAIR
                more = next(self._wider(t, c.tag, c.name, factor), None)
                if more is None:
                    return None
                t = more.settings
                if draft is not None:
                    patch = merged(draft.patch, more.patch)
                    more = Draft(more.kind, f"{draft.title}, and {more.title}", patch, t)
                draft = more
        return draft

    def _wider(self, t: Settings, tag: str, name: str, factor: float) -> Iterator[Draft]:
        """Yield the change of settings that makes the supply of a row larger by a factor."""
        if tag.startswith("assert"):
            yield looser(t, int(tag.removeprefix("assert")), "[min]" in name, factor)
            return
        wall = next(w for w in WALLS if w.tag == tag)
        index = index_of(name)
        rows = wall.rows(self.before.state)
        # the plan as given may have fewer rows than others that were looked at
        if wall.number == 2 and index < len(rows) and rows[index].note.startswith("held"):
            there, needed = (units.from_base(x, "GiB") for x in (self.s.capacity, self.s.capacity * factor))
            yield Draft(
                "supply",
                f"+{text.amount(needed - there, 'GiB')} per accelerator",
                {"what_if": {"capacity": f"{needed:.15g} GiB"}},
                replace(t, amounts=t.amounts | {"capacity": self.s.capacity * factor}),
                needed,
                there,
                "GiB",
            )
        limit = self._limit(wall.number, index)
        if limit is not None:
            f = next(f for f in fields(Limits) if f.name == limit)
            value = getattr(t.limits, limit) * factor
            if f.metadata["share"] and value > 1.0:
                return
            unit = f.metadata["unit"]
            there, needed = (units.from_base(x, unit) for x in (getattr(t.limits, limit), value))
            yield Draft(
                "limit",
                f"{limit} of {text.amount(needed, unit)} instead of {text.amount(there, unit)}",
                {"constraints": {limit: needed if unit == "1" else f"{needed:.15g} {unit}"}},
                replace(t, limits=replace(t.limits, **{limit: value})),
                needed,
                there,
                unit,
            )

    def _limit(self, wall: int, index: int) -> str | None:
        """Return which limit of the plan is the supply of a wall's row: the one that moves it."""
        state = self.before.state
        w = next(w for w in WALLS if w.number == wall)
        rows = w.rows(state)
        if index >= len(rows):  # of another plan than the one given
            return None
        now = rows[index].supply
        for f in fields(Limits):
            value = getattr(state.limits, f.name)
            if f.metadata["wall"] == wall and value is not None:
                other = replace(state, limits=replace(state.limits, **{f.name: 2.0 * value}))
                then = w.rows(other)[index].supply
                if now is not None and then is not None and float(then) != float(now):
                    return f.name
        return None

    def _decisions(self) -> Iterator[Draft]:
        """Yield each decision of the conflict left open, and all of them together if none helps alone.

        One that is not a member is no way out: the others cannot hold without it either.
        """
        names = [n for n in self.s.settings.fixed if decision_tag(n) in self.tags]
        helped = False
        for name in names:
            draft = self._open([name])
            way = self.tried(draft)
            if way is not None:
                helped = True
                yield replace(draft, title=f"{draft.title}: {decided(way.evaluation)[name]} then")
        if names and not helped:
            yield self._open([n for n in self.s.settings.fixed if n not in DECIDED])

    def _open(self, names: Sequence[str]) -> Draft:
        """Return the plan with some decisions left open."""
        said = ", ".join(f"{n} {self.s.settings.fixed[n]}" for n in names)
        title = f"{names[0]} left open" if len(names) == 1 else f"{', '.join(names)} left open"
        said = str(self.s.settings.fixed[names[0]]) if len(names) == 1 else said
        rest = {k: v for k, v in self.s.settings.fixed.items() if k not in names}
        return Draft(
            "decision",
            f"{title} (the plan says {said})",
            {"parallelism": dict.fromkeys(names)},
            replace(self.s.settings, fixed=rest),
        )

    def _fleets(self) -> Iterator[Draft]:
        """Yield the fewest accelerators, of larger fleets, on which the plan holds."""
        n, t = self.s.accelerators, self.s.settings
        node = server_size(t)
        size = n
        while size < LARGEST_FLEET * n and not self.ask.options.expired:
            step = max(node, -(-size // (MOST_COUNTS * node)) * node)
            counts = tuple(c for c in range(size + step, 2 * size + 1, step) if c % node == 0)
            size = max(2 * size, size + node)
            counts = counts or (size,)
            needed = self._least_fleet(counts)
            if needed is not None:
                yield Draft(
                    "accelerators",
                    f"{needed:,} accelerators instead of {n:,}",
                    {
                        "hardware": {"accelerators": needed, "nodes": None},
                        "parallelism": {"accelerators": None},
                    },
                    sized(t, needed),
                    float(needed),
                    float(n),
                    "device",
                )
                return

    def _least_fleet(self, counts: tuple[int, ...]) -> int | None:
        """Return the fewest accelerators of a list on which something holds."""
        for count in counts:
            try:
                s = resolve(sized(self.s.settings, count))
                recipe = Question(s, self.question.goal, self.ask).recipe()
            except InputError:  # such a fleet has no layout at all
                continue
            if module("solve").feasible(recipe.problem, self.ask.solver, self.ask.options):
                return count
        return None

    def _parts(self) -> Iterator[Draft]:
        """Yield the nearest accelerators of the registry with more memory or more speed."""
        for draft in parts(self.s, self._better)[:MOST_PARTS]:
            if self.tried(draft) is not None:
                yield draft
                return

    def _better(self, other: Scenario) -> float | None:
        """Return how far an accelerator is from the plan's; None where it has less of everything."""
        ratios = [other.capacity / self.s.capacity, other.chip.peak / self.s.chip.peak]
        wanted = ratios[0] if "w02" in self.tags else ratios[1]
        return wanted if wanted > 1.0 else None
