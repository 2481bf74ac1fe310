"""RUN/diagnosis.json, and figures of an evaluation: saved, and read back if still valid."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tigon.diagnostics.rules.base import Finding
from tigon.figures import Figure
from tigon.files import is_writable, open_regular, replace_file, subfolder
from tigon.report.embedded import Embedded, as_webp, embedded
from tigon.runs.diagnosis import Diagnosis
from tigon.runs.evaluation import saved_evaluation
from tigon.runs.provenance import BROKEN
from tigon.runs.run import Run
from tigon.training.checkpoint_folder import checksum

FILE = "diagnosis.json"
NAME = re.compile("[a-z0-9-]+")


def is_kept(run: Run) -> bool:
    """Return whether a run is where its diagnoses can be saved, and not read-only."""
    return all(is_writable(path) for path in (run.folder, run.folder / "figures") if path.exists())


def save_diagnosis(run: Run, diagnosis: Diagnosis[Figure]) -> Diagnosis[Embedded]:
    """Write RUN/diagnosis.json and its figures; return it with the figures embedded."""
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
    """Return a diagnosis with embedded figures, and save their PNGs in a folder if given."""
    return Diagnosis(
        diagnosis.name,
        diagnosis.healthy,
        diagnosis.verdict,
        diagnosis.findings,
        embedded(diagnosis.figures, folder),
        diagnosis.provenance,
    )


def saved_diagnosis(run: Run, provenance: dict[str, Any]) -> Diagnosis[Embedded] | None:
    """Return the saved diagnosis of a run if a new one would be the same.

    Returns None if there is none, it is damaged, or its inputs differ: another checkpoint, other
    metrics, other code, or another seed.

    Arguments:
        provenance: everything that a new diagnosis would depend on
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


def save_figures(run: Run, drawn: Iterable[Figure]) -> list[dict[str, Any]]:
    """Write figures to RUN/figures; return what evaluation.json says of them."""
    folder = subfolder(run.folder, "figures")
    return [_described(folder, figure) for figure in embedded(drawn, folder)]


def evaluation_figures(run: Run) -> list[Embedded]:
    """Return the figures of the run's evaluation, if it is of the run's chosen checkpoint."""
    try:
        folder = subfolder(run.folder, "figures")
        return [_embedded(folder, figure) for figure in saved_evaluation(run)["figures"]]
    except BROKEN:
        return []


def _described(folder: Path, figure: Embedded) -> dict[str, Any]:
    """Return a figure with the checksum of its file in place of its pixels."""
    return figure._asdict() | {"data": checksum(folder / f"{figure.name}.png")}


def _embedded(folder: Path, values: dict[str, Any]) -> Embedded:
    """Return a figure with its pixels from a file.

    Raises:
        ValueError: if the file has changed
    """
    if not NAME.fullmatch(values["name"]):
        raise ValueError(f"figure {values['name']!r}")
    with open_regular(folder / f"{values['name']}.png") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != values["data"]:
        raise ValueError(f"figure {values['name']} has changed")
    return Embedded(**(values | {"data": as_webp(data)}))


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
