"""RUN/diagnosis.json: a diagnosis as a run keeps it, and read back where it is still true."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tigon.diagnostics import Diagnosis, Told, pictures
from tigon.diagnostics.rules import Finding
from tigon.files import open_regular, replace_file, subfolder
from tigon.report.plates import Plate, as_webp, plates
from tigon.runs.run import Run
from tigon.training.kept import checksum

FILE = "diagnosis.json"
NAME = re.compile("[a-z0-9-]+")
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Kept(NamedTuple):
    """A diagnosis in words, and its figures."""

    told: Told
    plates: list[Plate]


def save_diagnosis(run: Run, diagnosis: Diagnosis) -> list[Plate]:
    """Write RUN/diagnosis.json and its figures; returns these."""
    folder = subfolder(run.folder, "figures")
    drawn = plates(pictures(diagnosis), folder)
    values = diagnosis.to_plain()
    if diagnosis.made_from is not None:
        described = [_described(folder, plate) for plate in drawn]
        values |= {"made_from": diagnosis.made_from, "figures": described}
        values["sha256"] = _digest(values)
    replace_file(run.folder / FILE, json.dumps(values, indent=1))
    return drawn


def kept_diagnosis(run: Run, made_from: dict[str, Any]) -> Kept | None:
    """Return the diagnosis that a run keeps, where one made now would be the same.

    None where there is none, or it is damaged, or it was made of anything else: of another
    checkpoint, other metrics, by other code, with another seed.

    Arguments:
        made_from: what a diagnosis made now would depend on
    """
    try:
        with open_regular(run.folder / FILE) as file:
            values = json.loads(file.read().decode("utf-8"))
        if values.pop("sha256") != _digest(values) or values["made_from"] != made_from:
            return None
        findings = [Finding.from_plain(finding) for finding in values["findings"]]
        told = Told(values["healthy"], values["verdict"], findings)
        folder = subfolder(run.folder, "figures")
        return Kept(told, [_plate(folder, figure) for figure in values["figures"]])
    except BROKEN:
        return None


def _described(folder: Path, plate: Plate) -> dict[str, Any]:
    """Return all of a plate but its picture: in its place, the checksum of the file."""
    return plate._asdict() | {"data": checksum(folder / f"{plate.name}.png")}


def _plate(folder: Path, values: dict[str, Any]) -> Plate:
    """Return a plate with its picture from a file.

    Raises:
        ValueError: if the file is not what it was
    """
    if not NAME.fullmatch(values["name"]):
        raise ValueError(f"figure {values['name']!r}")
    with open_regular(folder / f"{values['name']}.png") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != values["data"]:
        raise ValueError(f"figure {values['name']} is another")
    return Plate(**(values | {"data": as_webp(data)}))


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
