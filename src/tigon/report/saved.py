"""RUN/diagnosis.json: a diagnosis as a run saves it, and read back where it is still true."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from tigon.diagnostics.rules.base import Finding
from tigon.figures import Figure
from tigon.files import is_writable, open_regular, replace_file, subfolder
from tigon.report.embedded import Embedded, as_webp, embedded
from tigon.runs.diagnosis import Diagnosis
from tigon.runs.run import Run
from tigon.training.checkpoint_folder import checksum

FILE = "diagnosis.json"
NAME = re.compile("[a-z0-9-]+")
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def is_kept(run: Run) -> bool:
    """Return whether a run is where its diagnoses can be saved, and not read-only."""
    return all(is_writable(path) for path in (run.folder, run.folder / "figures") if path.exists())


def save_diagnosis(run: Run, diagnosis: Diagnosis[Figure]) -> Diagnosis[Embedded]:
    """Write RUN/diagnosis.json and its figures; returns it with these embedded."""
    folder = subfolder(run.folder, "figures")
    found = with_embedded(diagnosis, folder)
    values = diagnosis.to_plain()
    if diagnosis.provenance is not None:
        described = [_described(folder, figure) for figure in found.figures]
        values |= {"provenance": diagnosis.provenance, "figures": described}
        values["sha256"] = _digest(values)
    replace_file(run.folder / FILE, json.dumps(values, indent=1))
    return found


def with_embedded(diagnosis: Diagnosis[Figure], folder: Path | None = None) -> Diagnosis[Embedded]:
    """Return a diagnosis with its figures as a page holds them, and their PNGs in a folder."""
    return Diagnosis(
        diagnosis.name,
        diagnosis.healthy,
        diagnosis.verdict,
        diagnosis.findings,
        embedded(diagnosis.figures, folder),
        diagnosis.provenance,
    )


def saved_diagnosis(run: Run, provenance: dict[str, Any]) -> Diagnosis[Embedded] | None:
    """Return the diagnosis that a run saved, where one made now would be the same.

    None where there is none, or it is damaged, or it was made of anything else: of another
    checkpoint, other metrics, by other code, with another seed.

    Arguments:
        provenance: what a diagnosis made now would depend on
    """
    try:
        with open_regular(run.folder / FILE) as file:
            values = json.loads(file.read().decode("utf-8"))
        if values.pop("sha256") != _digest(values) or values["provenance"] != provenance:
            return None
        findings = [Finding.from_plain(finding) for finding in values["findings"]]
        folder = subfolder(run.folder, "figures")
        figures = [_embedded(folder, figure) for figure in values["figures"]]
        said = values["run"], values["healthy"], values["verdict"]
        return Diagnosis(*said, findings, figures, provenance)
    except BROKEN:
        return None


def _described(folder: Path, figure: Embedded) -> dict[str, Any]:
    """Return all of a figure but its pixels: in their place, the checksum of the file."""
    return figure._asdict() | {"data": checksum(folder / f"{figure.name}.png")}


def _embedded(folder: Path, values: dict[str, Any]) -> Embedded:
    """Return a figure with its pixels from a file.

    Raises:
        ValueError: if the file is not what it was
    """
    if not NAME.fullmatch(values["name"]):
        raise ValueError(f"figure {values['name']!r}")
    with open_regular(folder / f"{values['name']}.png") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != values["data"]:
        raise ValueError(f"figure {values['name']} is another")
    return Embedded(**(values | {"data": as_webp(data)}))


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
