"""Models from the ``config.json`` that their makers publish on the Hugging Face hub.

The config gives the sizes; parameters are counted from them with the equations of
:mod:`mlsysim.physics.transformer` and :mod:`mlsysim.physics.statespace`. Nothing is downloaded but
the config, and that only where the local cache of the hub does not have it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlsysim.core import sealed
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.own import locate
from mlsysim.core.provenance import Value
from mlsysim.core.records import read
from mlsysim.models import Model
from mlsysim.models.hf_families import FAMILIES, Family, read_family
from mlsysim.models.hf_keys import Draft, Keys, Number, show
from mlsysim.models.lower import state_space
from mlsysim.physics import statespace, transformer

SCHEME = "hf://"
SOURCE = "huggingface_config"
GROUP = "huggingface"
FILE = "config.json"
MAX_BYTES = 1 << 20
AS_OF = "undated"  # a config carries no date
_TOKENS = frozenset({"context", "window"})


def load(reference: str, folder: str | Path = "") -> Model:
    """Return the model that a reference names.

    Args:
        reference: a ``config.json``, a folder that holds one, or ``hf://org/name[@revision]``.
        folder: where a relative path starts; the working folder if empty.

    Raises:
        InputError: no such file, a malformed config, or a hub that cannot be reached.
        UnknownNameError: the hub has no such model, or the family is not known.
    """
    if reference.startswith(SCHEME):
        from mlsysim.models import hf_hub

        sealed.check(reference, "for a name of the registry see: mlsysim zoo models")
        repo = hf_hub.parse(reference)
        body, place, origin = hf_hub.config(repo)
        return replace(from_config(parse_json(body, place), repo.name, origin), reference=reference)
    path = locate(reference, folder)
    if path.is_dir():
        path = locate(str(path / FILE), hint="a model's folder holds its config.json")
    name = path.resolve().parent.name if path.name == FILE else path.stem
    where = str(path)
    model = from_config(parse_json(_bounded(path), where), name, where)
    return replace(model, reference=str(path.resolve()))


def from_config(config: dict[str, Any], name: str, where: str) -> Model:
    """Return the model that a parsed ``config.json`` describes.

    Args:
        config: the JSON object. Where it is of a model with several parts, its ``text_config``
            counts: the language model without encoders of images or sound.
        name: the model's name.
        where: the file or hub name, for messages and for the provenance of each value.

    Raises:
        InputError: naming the key that is missing or malformed.
        UnknownNameError: the family is not one of ``hf_families.FAMILIES``.
    """
    if not isinstance(config, dict):
        raise InputError(f"a JSON object is expected, not {show(config)}", where=where)
    outer = Keys(config, where)
    keys, family = _language_model(outer)
    draft = read_family(keys, family, outer)
    if keys is not outer:
        draft.notes.append("the language model alone, without its encoders")
    return _model(draft, family, name, where)


def parse_json(body: bytes, where: str) -> dict[str, Any]:
    """Parse the bytes of a config.

    Raises:
        InputError: too large, not UTF-8, not JSON, or not an object.
    """
    import json

    if len(body) > MAX_BYTES:
        raise InputError(
            f"the file is larger than {MAX_BYTES >> 20} MiB",
            where=where,
            hint="a config.json is a few kilobytes; is this the right file?",
        )
    try:
        data = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", where=where) from error
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", where=f"{where}:{error.lineno}") from error
    except (ValueError, RecursionError) as error:  # a number or a nesting without bound
        raise InputError(
            "not valid JSON: a number is too long or the nesting too deep", where=where
        ) from error
    if not isinstance(data, dict):
        raise InputError(f"a JSON object is expected, not {show(data)}", where=where)
    return data


def _bounded(path: Path) -> bytes:
    """Return the bytes of a file, one more than :data:`MAX_BYTES` at most."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def _language_model(outer: Keys) -> tuple[Keys, Family]:
    """Return the keys of the language model and its family."""
    keys, kind = outer, outer.text("model_type")
    if kind not in FAMILIES and outer.has("text_config"):
        keys = outer.part("text_config")
        kind = keys.text("model_type") or (kind and f"{kind}_text")
    if not kind and keys.has("d_model") and keys.has("ssm_cfg"):
        kind = "mamba"  # the config that Mamba's authors released
    if not kind:
        raise InputError(
            "'model_type' is missing",
            where=keys.where,
            hint="is this the config.json of a model in Transformers?",
        )
    if kind not in FAMILIES:
        error = unknown("model_type", kind[:80], FAMILIES)
        error.hint += "  For another family write an entry of your own (registry/README.md)"
        raise error.at(keys.spot("model_type"))
    return keys, FAMILIES[kind]


def _model(draft: Draft, family: Family, name: str, where: str) -> Model:
    """Build the model and count its parameters."""
    architecture = {
        field: _record(number, "token" if field in _TOKENS else "1", where)
        for field, number in draft.numbers.items()
    }
    raw = {
        "title": name,
        "family": family.title,
        "task": "language",
        "kind": family.kind,
        "architecture": {**architecture, **draft.traits},
        "parameters": _count(1.0, where),
    }
    model: Model = read(Model, raw, where, name=name, group=GROUP)
    notes = "; ".join((f"counted from {where}", *draft.notes))
    if family.kind == "mamba":
        total, active = statespace.total_params(state_space(model.architecture, where)), 0.0
    else:
        total = transformer.total_params(model.transformer)
        active = transformer.active_params(model.transformer) if model.transformer.experts else 0.0
    return replace(
        model,
        parameters=_value(total, notes, where),
        parameters_active=_value(active, f"{notes}; embeddings included", where) if active else None,
    )


def _record(number: Number, unit: str, where: str) -> dict[str, Any]:
    """Return a size as a value mapping of the registry."""
    place = where if number.derived or not number.keys else f"{', '.join(number.keys)} in {where}"
    note = f"{number.note}; {place}" if number.note else place
    record = {
        "value": number.value,
        "unit": unit,
        "source": SOURCE,
        "as_of": AS_OF,
        "kind": "derived" if number.derived else "datasheet",
        "note": note,
    }
    return {**record, "inputs": list(number.keys)} if number.derived else record


def _count(value: float, note: str) -> dict[str, Any]:
    return {
        "value": round(value),
        "unit": "param",
        "source": SOURCE,
        "as_of": AS_OF,
        "kind": "derived",
        "inputs": ["architecture fields"],
        "note": note,
    }


def _value(value: float, note: str, where: str) -> Value:
    return Value.parse(_count(value, note), "param", where)
