"""Layer B: accelerators."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mlsysim.core.errors import InputError, unknown
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, Record, number, part, text
from mlsysim.core.registry import Catalog

# Bytes of one stored number. This is the definition of each format, not a fact about a machine.
BYTES = {
    "fp64": 8.0,
    "fp32": 4.0,
    "tf32": 4.0,
    "fp16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5,
    "int4": 0.5,
}


@dataclass(frozen=True, repr=False)
class Peak(Record):
    """Dense peak rates by number format."""

    fp64: Value | None = number("FLOP/s")
    fp32: Value | None = number("FLOP/s")
    tf32: Value | None = number("FLOP/s")
    fp16: Value | None = number("FLOP/s")
    bf16: Value | None = number("FLOP/s")
    fp8: Value | None = number("FLOP/s")
    int8: Value | None = number("FLOP/s")
    fp4: Value | None = number("FLOP/s")
    int4: Value | None = number("FLOP/s")

    def precisions(self) -> list[str]:
        """Return the formats that the accelerator has a rate for."""
        return [f.name for f in fields(self) if getattr(self, f.name) is not None]


@dataclass(frozen=True, repr=False)
class Memory(Record):
    """The main memory of the accelerator."""

    capacity: Value | None = number("byte", required=True)
    bandwidth: Value | None = number("byte/s")


@dataclass(frozen=True, repr=False)
class Capacity(Record):
    """A memory of which only the size is of interest, and the rate at which all cores read it together."""

    capacity: Value | None = number("byte")
    bandwidth: Value | None = number("byte/s")


@dataclass(frozen=True, repr=False)
class Link(Record):
    """The scale-up link of one accelerator, per direction."""

    bandwidth: Value | None = number("byte/s")


@dataclass(frozen=True, repr=False)
class Power(Record):
    """Electric power of one accelerator."""

    tdp: Value | None = number("W")
    idle: Value | None = number("W")


@dataclass(frozen=True, repr=False)
class Price(Record):
    """What one accelerator costs to buy and to rent."""

    purchase: Value | None = number("USD")
    rent: Value | None = number("USD/h")


@dataclass(frozen=True, repr=False)
class Achieved(Record):
    """What kernels reach of the peaks of an accelerator: shares, and where attention gets there.

    Attributes:
        matmul_bf16, matmul_fp8, matmul_fp4: share of its peak that large matrix products reach, by
            number format.
        attention: share of the 16-bit peak that fused attention with heads 128 wide reaches over long
            sequences.
        attention_length: tokens of a sequence at which it reaches half of that.
        attention_width: of a head, likewise.
        matmul_stream: share of the memory bandwidth at which products of few rows read their matrices.
        decode_attention: share of the memory bandwidth at which attention of one query reads long caches.
        training_matmul: rate of products in 16 bits in whole training runs over that of kernels timed
            alone.
        training_narrow: the same of products in fewer bits.
        training_attention: the same of attention; that of ``training_matmul`` where it is not known apart.
        training_stream: rate of memory-bound operators in whole training runs over that of kernels that
            stream through large arrays.
    """

    matmul_bf16: Value | None = number("1")
    matmul_fp8: Value | None = number("1")
    matmul_fp4: Value | None = number("1")
    matmul_stream: Value | None = number("1")
    attention: Value | None = number("1")
    attention_length: Value | None = number("token")
    attention_width: Value | None = number("1")
    decode_attention: Value | None = number("1")
    training_matmul: Value | None = number("1")
    training_narrow: Value | None = number("1")
    training_attention: Value | None = number("1")
    training_stream: Value | None = number("1")


@dataclass(frozen=True, repr=False)
class Hardware(Entry):
    """An accelerator: rates, memory, links, power and price.

    ``setting`` is where it is used; the folder says it if the entry does not.
    """

    vendor: str = text(required=True)
    scope: str = text(choices=("chip", "module", "board", "wafer", "rack"))
    released: Value | None = number("year")
    peak: Peak = part(Peak, required=True)
    sparsity: Value | None = number("1")
    compute_units: Value | None = number("1")
    achieved: Achieved | None = part(Achieved)
    memory: Memory = part(Memory, required=True)
    on_chip: Capacity | None = part(Capacity)
    flash: Capacity | None = part(Capacity)
    link: Link | None = part(Link)
    power: Power | None = part(Power)
    price: Price | None = part(Price)
    embodied_carbon: Value | None = number("kgCO2e")
    node: str = text()
    setting: str = text(choices=("cloud", "workstation", "edge", "mobile", "tiny"))

    def rate(self, precision: str) -> Value:
        """Return the dense peak rate in FLOP/s for a number format.

        Raises:
            InputError: this accelerator has no rate for it.
        """
        if precision not in BYTES:
            raise unknown("precision", precision, BYTES)
        value: Value | None = getattr(self.peak, precision)
        if value is None:
            raise InputError(
                f"{self.name} has no {precision} rate", hint=f"it has {', '.join(self.peak.precisions())}"
            )
        return value

    @property
    def in_server(self) -> bool:
        """Whether it stands in a server or workstation, under a GPU or TPU runtime."""
        return (self.setting or self.group) not in ("edge", "mobile", "tiny")

    @property
    def is_tiny(self) -> bool:
        """Whether it is a microcontroller: no operating system, weights in flash where it has some."""
        return (self.setting or self.group) == "tiny"

    @property
    def is_whole_system(self) -> bool:
        """Whether the entry is a rack or a wafer: many parts counted as one device."""
        return self.scope in ("rack", "wafer")

    @property
    def wide_precision(self) -> str | None:
        """The 16-bit format, in which runs of fewer bits do what they cannot do in those."""
        have = self.peak.precisions()
        return next((p for p in ("bf16", "fp16") if p in have), None)

    @property
    def usual_precision(self) -> str:
        """The format used when the plan names none: bf16, or the next best that the chip has."""
        have = self.peak.precisions()
        return next(p for p in ("bf16", "fp16", "int8", "fp32", *have) if p in have)


CATALOG: Catalog[Hardware] = Catalog("hardware", "hardware", {"": Hardware})
