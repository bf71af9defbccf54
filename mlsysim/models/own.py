"""Models by reference: a name, an entry of one's own, or a Hugging Face config."""

from __future__ import annotations

from pathlib import Path

from mlsysim.core import own, sealed
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.models import CATALOG, Model

_HUB = "hf://"


def resolve_model(reference: str, folder: str | Path = "") -> Model:
    """Return the model that a plan names.

    Args:
        reference: ``hf://org/name[@revision]``; the path of a ``config.json``, of a folder that
            holds one, or of a YAML entry; or a name of the registry, which a folder of the same
            name does not hide.
        folder: where a relative path starts; the working folder if empty.

    Raises:
        InputError: no such file, a malformed config, or a hub that cannot be reached.
        RegistryError: a malformed entry.
        UnknownNameError: no such name.
    """
    if reference.startswith(_HUB):
        return _config(reference, folder)
    if not own.is_path(reference):
        try:
            return CATALOG.get(reference)
        except UnknownNameError:
            if not _holds_config(reference, folder):
                raise
        return _config(reference, folder)
    path = own.locate(reference, folder, hint=_hint(reference))
    if path.is_file() and path.suffix.lower() in own.YAML:
        return own.own_entry(path, Model)
    if path.is_file() and path.suffix.lower() != ".json":
        raise InputError(
            "a model is a YAML entry, a config.json, or a folder that holds one", where=str(path)
        )
    return _config(str(path))


def _config(reference: str, folder: str | Path = "") -> Model:
    from mlsysim.models import huggingface

    return huggingface.load(reference, folder)


def _holds_config(reference: str, folder: str | Path) -> bool:
    if sealed.is_sealed():
        return False
    try:
        return bool(reference) and (Path(folder) / reference / "config.json").is_file()
    except (OSError, ValueError):
        return False


def _hint(reference: str) -> str:
    if reference.count("/") == 1 and not reference.startswith((".", "~", "/")):
        return f"for a model of the hub write {_HUB}{reference}"
    return f"for a name of the registry see: {CATALOG.see}"
