"""Walls that the catalogue lists and the engine does not model yet.

They appear in every evaluation as ``n/a``, so that nothing is silently absent.
"""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Planned(Wall):
    """A wall to come."""

    modelled = False

    def rows(self, s: State) -> tuple[Row, ...]:
        """Return nothing."""
        return ()

    def why_not(self, s: State) -> str:
        """Say so."""
        return "not modelled yet"


def _planned(number: int, name: str, domain: str, equation: str, *sources: str) -> Planned:
    cls = type(
        name.replace(" ", "").replace("-", ""),
        (Planned,),
        {
            "number": number,
            "name": name,
            "domain": domain,
            "equation": equation,
            "sources": sources,
            "__doc__": f"Wall {number}, {name}: {equation}.",
        },
    )
    wall: Planned = cls()
    return wall


PLANNED: tuple[Planned, ...] = (
    _planned(
        4,
        "Serving",
        "node",
        "time to first token, inter-token latency <= targets",
        "pope_2023",
        "agrawal_2024",
    ),
    _planned(5, "Batching", "node", "KV blocks of running requests <= KV pool", "kwon_2023"),
    _planned(6, "Streaming", "node", "max(weights / injection bandwidth, compute) <= layer time", "lie_2023"),
    _planned(7, "Tail latency", "node", "P99 of M/M/c <= target", "dean_2013"),
    _planned(8, "Ingestion", "data", "bytes consumed per second <= storage bandwidth", "mohan_2021"),
    _planned(9, "Transformation", "data", "CPU seconds per step <= cores x step time", "murray_2021"),
    _planned(11, "Complexity", "algorithm", "6 P D <= compute budget", "hoffmann_2022"),
    _planned(12, "Reasoning", "algorithm", "TTFT + steps x tokens per step x ITL <= target", "snell_2024"),
    _planned(
        13,
        "Fidelity",
        "algorithm",
        "accuracy loss of precision and sparsity <= tolerance",
        "han_2015",
        "gholami_2021",
    ),
    _planned(15, "Fragility", "fleet", "time lost to failures <= allowed", "young_1974", "daly_2006"),
    _planned(16, "Multi-tenant", "fleet", "queueing wait <= allowed", "little_1961"),
    _planned(19, "Checkpoint", "operations", "write time / interval <= allowed", "eisenman_2022"),
    _planned(20, "Safety", "operations", "DP-SGD slowdown and subgroup data <= allowed", "abadi_2016"),
    _planned(21, "Sensitivity", "analysis", "worth of one more unit of each supply"),
    _planned(22, "Synthesis", "analysis", "least supply that meets the target"),
)
