"""Training data on its way to the accelerators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import dataflow as flow
from mlsysim.physics.dataflow import Ingest, Transform

POSITIVE = st.floats(1e-3, 1e12)


@pytest.mark.parametrize(
    ("batch", "seconds", "sample", "rate"),
    [
        # MLPerf Storage 1.0, one H100: ResNet-50 400 images in 0.224 s, 3D U-Net 7 volumes in 0.323 s
        (400, 0.224, 114_660.07, 204.75e6),
        (7, 0.323, 146_600_628.0, 3.177e9),
    ],
)
def test_reading_of_mlperf_storage(batch: int, seconds: float, sample: float, rate: float) -> None:
    assert flow.read_bytes(batch, sample) / seconds == pytest.approx(rate, rel=1e-3)


def test_a_cache_serves_what_it_holds() -> None:
    # Mohan 2021, section 4.1: 35% of the data set in memory, each epoch reads the other 65%
    assert flow.read_bytes(1000, 1e5, cached=0.35) == pytest.approx(65e6)
    assert flow.read_bytes(1000, 1e5, cached=1.0) == 0.0


def test_storage_of_a_fleet() -> None:
    # 8 drives of 6.9 GB/s in each of 64 servers
    assert flow.local_bandwidth(6.9e9, 8, 64) == pytest.approx(3532.8e9)
    # 1 GB/s a TiB: 100 TiB give 100 GB/s, 10,000 TiB as much as 64 links of 12.5 GB/s take
    tib = 2.0**40
    assert flow.file_system_bandwidth(1e9 / tib, 100 * tib, 12.5e9, 64) == pytest.approx(100e9)
    assert flow.file_system_bandwidth(1e9 / tib, 10_000 * tib, 12.5e9, 64) == 800e9
    # 90 MB/s a request: 100 requests give 9 GB/s a server, 200 fill its link
    assert flow.object_store_bandwidth(90e6, 100, 12.5e9, 4) == pytest.approx(36e9)
    assert flow.object_store_bandwidth(90e6, 200, 12.5e9, 4) == 50e9


def test_cores_for_images() -> None:
    # 2000 images a second at 4.56 ms each keep 9.12 cores busy
    work = flow.processor_time(2000, 4.56e-3)
    assert flow.cores_needed(work, 1.0) == pytest.approx(9.12)


def test_the_slowest_stage_sets_the_pace() -> None:
    ingest, transform = Ingest(100e9, 50e9), Transform(300.0, 100.0)
    assert flow.paced_time(1.0, ingest, transform) == 3.0
    assert flow.paced_time(10.0, ingest, transform) == 10.0
    assert flow.paced_time(1.0, ingest, Transform(0.0, 100.0)) == 2.0
    assert flow.stall_share(1.0, ingest, transform) == pytest.approx(2 / 3)
    assert flow.stall_share(10.0, ingest, transform) == 0.0


@given(time=POSITIVE, size=POSITIVE, bandwidth=POSITIVE, work=POSITIVE, cores=POSITIVE, more=st.floats(1, 99))
def test_more_supply_never_slows(
    time: float, size: float, bandwidth: float, work: float, cores: float, more: float
) -> None:
    paced = flow.paced_time(time, Ingest(size, bandwidth), Transform(work, cores))
    assert paced >= time
    assert flow.paced_time(time, Ingest(size, bandwidth * more), Transform(work, cores * more)) <= paced
    assert 0.0 <= flow.stall_share(time, Ingest(size, bandwidth), Transform(work, cores)) < 1.0 + 1e-12


def test_arrays_are_scalars_side_by_side() -> None:
    times, cores = np.meshgrid([0.1, 1.0, 10.0], [1.0, 64.0, 1e6])
    table = flow.paced_time(times, Ingest(1e9, 2e9), Transform(70.0, cores))
    for i in np.ndindex(times.shape):
        assert table[i] == flow.paced_time(
            float(times[i]), Ingest(1e9, 2e9), Transform(70.0, float(cores[i]))
        )


def test_dimensions() -> None:
    u = ureg()
    size = flow.read_bytes(4096 * u.sample, 110 * u.kB / u.sample)
    assert size.check("[information]")
    rate = flow.object_store_bandwidth(90e6 * u.byte / u.second, 200, 12.5e9 * u.byte / u.second, 4)
    assert (size / rate).check("[time]")
    work = flow.processor_time(4096 * u.sample, 4.56e-3 * u.second / u.sample)
    assert flow.cores_needed(work, 1 * u.second).dimensionless
    assert flow.paced_time(1 * u.second, Ingest(size, rate), Transform(work, 64)).check("[time]")
