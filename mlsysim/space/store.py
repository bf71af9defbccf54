"""Finished parts of a campaign on disk, so that it goes on after a kill.

A folder beside the result: one NumPy file a part, written under another name and moved into place, so
that there is all of it or nothing. Parts of another campaign are refused, never mixed in.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.space.table import Column, Data, Table, Words

MANIFEST = "campaign.json"


class Store:
    """Parts of one campaign.

    Args:
        folder: where they are; made if absent.
        identity: what tells the campaign from others.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = identity

    def begin(self) -> None:
        """Make the folder, or check that it is of this campaign.

        Raises:
            InputError: it is of another campaign, or cannot be written.
        """
        path = self.folder / MANIFEST
        try:
            self.folder.mkdir(exist_ok=True)
            if not path.exists():
                _placed(path, json.dumps(self.identity, indent=1).encode())
                return
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(self.folder)) from error
        except ValueError as error:
            raise InputError(
                "not the parts of a campaign", where=str(path), hint="remove the folder"
            ) from error
        changed = [k for k in self.identity if found.get(k) != self.identity[k]]
        if changed:
            raise InputError(
                f"these are finished parts of another campaign ({', '.join(changed)} changed)",
                where=str(self.folder),
                hint="remove the folder to begin anew (--restart), or write to another file",
            )

    def finished(self) -> dict[int, Path]:
        """Return the parts that are there, by the number of their first point."""
        found = {}
        for path in self.folder.glob("part-*.npz"):
            number = path.stem.removeprefix("part-")
            if number.isdecimal():
                found[int(number)] = path
        return found

    def put(self, start: int, table: Table) -> None:
        """Keep a finished part."""
        arrays: dict[str, Any] = {}
        about = []
        for i, c in enumerate(table.columns.values()):
            about.append({"name": c.name, "unit": c.unit, "title": c.title})
            if isinstance(c.data, Words):
                about[-1]["words"] = list(c.data.words)  # type: ignore[assignment]
                arrays[f"c{i}"] = c.data.codes
            else:
                arrays[f"c{i}"] = c.data
        head = {
            "columns": about,
            "objectives": table.objectives,
            "greatest": table.greatest,
            "notes": table.notes,
        }
        path = self.folder / f"part-{start:010d}.npz"
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with new.open("wb") as file:
                np.savez(file, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def get(self, path: Path) -> Table | None:
        """Return a finished part; None where the file is damaged, which is as if it were not there."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
                head = json.loads(found["head"].tobytes())
                columns = {}
                for i, about in enumerate(head["columns"]):
                    array = found[f"c{i}"]
                    data: Data = Words(array, tuple(about["words"])) if "words" in about else array
                    columns[about["name"]] = Column(about["name"], about["unit"], about["title"], data)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Table(columns, tuple(head["objectives"]), tuple(head["greatest"]), tuple(head["notes"]))

    def remove(self) -> None:
        """Remove the parts, once the result is written."""
        for path in [*self.folder.glob("part-*.npz"), *self.folder.glob(".*.new"), self.folder / MANIFEST]:
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _placed(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.write_bytes(data)
    new.replace(path)
