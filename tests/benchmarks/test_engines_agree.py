"""HiGHS and CP-SAT come to what enumeration established, on the quick instances of the library."""

from __future__ import annotations

import pytest

from benchmarks.library import instances
from benchmarks.phases import measure

SMOKE = [i for i in instances() if "smoke" in i.tags]


@pytest.mark.parametrize("engine", ["highs", "cp-sat"])
@pytest.mark.parametrize("instance", SMOKE, ids=lambda i: i.name)
def test_an_engine_finds_the_established_optimum(instance, engine):
    found = measure(instance.plan, engine)
    assert found["status"] == instance.expected["status"]
    if found["status"] == "optimal":
        assert found["objective"] == pytest.approx(instance.expected["objective"]["value"], rel=1e-6)
        assert found["verified"]
