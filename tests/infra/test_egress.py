"""What leaving a region costs, by owner, continent and destination."""

from __future__ import annotations

import pytest

from mlsysim.core import units
from mlsysim.infra import CATALOG
from mlsysim.infra.egress import egress_price

GB, GiB = (units.factor(f"USD/{unit}")[0] for unit in ("GB", "GiB"))


def price(here, there=None):
    return egress_price(CATALOG.get(here), None if there is None else CATALOG.get(there))


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ("aws_us_east_1", "aws_eu_west_1", 0.02 * GB),
        ("aws_sa_east_1", "aws_us_east_1", 0.138 * GB),
        ("aws_ap_northeast_1", "aws_ap_southeast_1", 0.09 * GB),
        ("azure_eastus", "azure_westus2", 0.02 * GB),
        ("azure_eastus", "azure_westeurope", 0.05 * GB),
        ("azure_southeastasia", "azure_eastus", 0.08 * GB),
        ("gcp_us_central1", "gcp_us_west1", 0.01 * GiB),
        ("gcp_europe_west1", "gcp_europe_west4", 0.02 * GiB),
        ("gcp_us_central1", "gcp_europe_west1", 0.08 * GiB),
        ("gcp_us_central1", "gcp_australia_southeast1", 0.15 * GiB),  # the dearer end counts
        ("gcp_australia_southeast1", "gcp_us_central1", 0.15 * GiB),
        ("gcp_us_central1", "aws_us_east_1", 0.12 * GiB),  # to another owner over the internet
        ("aws_us_east_1", None, 0.09 * GB),
        ("aws_af_south_1", None, 0.154 * GB),
        ("azure_swedencentral", None, 0.087 * GB),
        ("gcp_us_west1", None, 0.12 * GiB),
        ("Quebec", "Iowa", 0.02 * GB),  # data centres of one's own
        ("Quebec", "gcp_us_west1", 0.087 * GB),
        ("Quebec", None, 0.087 * GB),
    ],
)
def test_list_prices(here, there, expected):
    assert price(here, there).base == pytest.approx(expected, rel=1e-12)


def test_nothing_is_paid_for_staying():
    assert price("aws_us_east_1", "aws_us_east_1") is None


def test_every_pair_has_a_price_with_a_source_and_leaving_the_network_is_never_cheaper():
    for here in CATALOG:
        out = egress_price(here, None)
        assert out is not None
        assert out.source
        for there in CATALOG:
            if there.reference == here.reference:
                continue
            between = egress_price(here, there)
            assert 0 < between.base < 0.25 * GB, (here.name, there.name)
            if there.provider != here.provider:
                assert between is out
