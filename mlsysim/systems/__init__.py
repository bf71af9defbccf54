"""Layer D: servers, fabrics, storage, reliability records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from mlsysim.core.errors import unknown
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, number, text
from mlsysim.core.registry import Catalog
from mlsysim.systems.scenarios import ScenarioEntry

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, repr=False)
class Node(Entry):
    """A server: how many accelerators it holds and how they are joined."""

    accelerator: str = text(required=True)
    accelerators: Value = number("1", required=True)
    scale_up: str = text()
    scale_up_domain: Value | None = number("1")
    scale_out: str = text()
    scale_out_links: Value | None = number("1")
    power: Value | None = number("W")
    price: Value | None = number("USD")
    embodied_carbon: Value | None = number("kgCO2e")
    cpu_cores: Value | None = number("1")
    host_memory: Value | None = number("byte")


@dataclass(frozen=True, repr=False)
class Fabric(Entry):
    """A network tier. Bandwidth is per direction, of one link or of one accelerator's bundle.

    ``latency`` is that of a hop of a small message, ``bulk_latency`` that at full bandwidth,
    ``peer_start`` that of an all-reduce in which accelerators read each other's memory.
    """

    tier: str = text(required=True, choices=("scale_up", "scale_out"))
    per: str = text(required=True, choices=("link", "accelerator"))
    bandwidth: Value = number("byte/s", required=True)
    latency: Value | None = number("s")
    bulk_latency: Value | None = number("s")
    peer_start: Value | None = number("s")
    achieved_share: Value | None = number("1")


@dataclass(frozen=True, repr=False)
class Storage(Entry):
    """A storage tier and its bandwidth."""

    per: str = text()
    bandwidth_read: Value | None = number("byte/s")
    bandwidth_write: Value | None = number("byte/s")
    capacity: Value | None = number("byte")
    latency: Value | None = number("s")


@dataclass(frozen=True, repr=False)
class Reliability(Entry):
    """Failure rates as somebody observed them on a fleet."""

    accelerator: str = text()
    mtbf_accelerator: Value | None = number("s")
    mtbf_node: Value | None = number("s")
    restart_time: Value | None = number("s")
    detection_time: Value | None = number("s")


CATALOG: Catalog[Entry] = Catalog(
    "systems",
    "systems",
    {
        "nodes": Node,
        "fabrics": Fabric,
        "storage": Storage,
        "reliability": Reliability,
        "scenarios": ScenarioEntry,
        "": Entry,
    },
)


def _entry(cls: type[E], what: str, group: str, name: str) -> E:
    """Return an entry of one of the groups.

    Raises:
        UnknownNameError: no such entry, or one of another group.
    """
    entry = CATALOG.get(name)
    if not isinstance(entry, cls):
        raise unknown(what, name, CATALOG.names(group), f"mlsysim zoo systems --filter {group}")
    return entry


def node(name: str) -> Node:
    """Return a server by name; errors as for all look-ups name the nearest entries."""
    return _entry(Node, "server", "nodes", name)


def fabric(name: str) -> Fabric:
    """Return a fabric by name."""
    return _entry(Fabric, "fabric", "fabrics", name)


def storage(name: str) -> Storage:
    """Return a storage by name."""
    return _entry(Storage, "storage", "storage", name)


def reliability_record(name: str) -> Reliability:
    """Return a reliability record by name."""
    return _entry(Reliability, "reliability record", "reliability", name)
