"""Every region is where it says, and users are found by city, region or country."""

from __future__ import annotations

import numpy as np
import pytest

from mlsysim.core import registry
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.infra import CATALOG, egress
from mlsysim.infra.places import cities, distances, place, round_trips

NOWHERE = {"World_Avg"}


def test_every_region_but_the_world_is_somewhere() -> None:
    assert {r.name for r in CATALOG if r.latitude is None or r.longitude is None} == NOWHERE
    assert len(cities()) >= 40


def test_regions_stand_in_their_grid() -> None:
    # a country's grid stands where its largest city is: nothing is further off than Calgary from Toronto
    for region in CATALOG:
        if region.grid:
            away = distances([place(region)], [place(region.grid)])[0, 0]
            assert away < 2.8e6, region.name


def test_regions_of_one_town_are_close_whoever_runs_them() -> None:
    for a, b in [
        ("aws_eu_west_1", "azure_northeurope"),
        ("aws_us_east_1", "gcp_us_east4"),
        ("aws_ap_southeast_1", "azure_southeastasia"),
        ("aws_sa_east_1", "gcp_southamerica_east1"),
        ("aws_us_east_2", "gcp_us_east5"),
        ("gcp_europe_central2", "azure_polandcentral"),
        ("gcp_us_south1", "Dallas"),
        ("gcp_us_west4", "Nevada"),
        ("gcp_europe_west3", "Frankfurt"),
    ]:
        assert distances([place(a)], [place(b)])[0, 0] < 40e3, (a, b)


def test_hemispheres() -> None:
    for name in ("Australia", "Brazil", "South_Africa", "Chile", "New_Zealand", "gcp_southamerica_east1"):
        assert place(name).latitude < 0, name
    for name in ("US_Avg", "Quebec", "Brazil", "Portugal", "gcp_us_west1", "aws_us_east_1"):
        assert place(name).longitude < 0, name
    for name in ("EU_Avg", "Japan", "India", "Australia", "gcp_africa_south1"):
        assert place(name).longitude > 0, name


def test_names_of_places() -> None:
    assert place("new york city").name == "New_York_City"
    assert place("FR") == place("France") == place(CATALOG.get("France"))
    assert place("us").name == "US_Avg"
    assert place("Singapore").country == "SG"
    with pytest.raises(UnknownNameError, match="Lodnon") as caught:
        place("Lodnon")
    assert "London" in str(caught.value)
    with pytest.raises(InputError, match="does not say where it is"):
        place("World_Avg")


def test_your_own_region_may_say_where_it_is(tmp_path) -> None:
    own = (registry.root() / "infra/grids/Iceland.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(own, encoding="utf-8")
    there = place("mine.yaml", tmp_path)
    assert there.latitude == place("Iceland").latitude


def test_tables_between_places() -> None:
    here = [place(n) for n in ("London", "New_York_City", "Tokyo")]
    there = [place(n) for n in ("gcp_us_central1", "gcp_europe_west2")]
    table = distances(here, there)
    assert table.shape == (3, 2)
    assert table.argmin(axis=1).tolist() == [1, 0, 1]
    assert distances([], there).shape == (0, 2)
    times = round_trips(here, there)
    route = registry.default("route_factor").base
    glass = registry.default("fibre_index").base
    np.testing.assert_allclose(times, 2 * table * route * glass / 299_792_458, rtol=1e-12)
    # over the internet from New York to London: as measured, 70 to 120 ms
    assert 0.07 < round_trips([here[1]], [here[0]])[0, 0] < 0.12


def test_every_country_of_a_region_or_city_is_on_a_continent() -> None:
    countries = {r.country for r in CATALOG if r.name not in NOWHERE}
    countries |= {c.country for c in cities().values()}
    assert [c for c in sorted(countries) if not egress.continent(c)] == []
