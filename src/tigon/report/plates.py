"""Pictures as a page holds them, and the files of them that a run keeps."""

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tigon.diagnosis import Diagnosis, pictures
from tigon.families.base import Picture
from tigon.figures import DPI
from tigon.files import replace_file, subfolder
from tigon.runs import Run

SHOWN_DPI = 110


class Plate(NamedTuple):
    """A picture that stands in a page.

    Attributes:
        picture: what it is
        data: its PNG in base 64
        width, height: as shown, in CSS pixels
    """

    picture: Picture
    data: str
    width: int
    height: int


def plates(drawn: Iterable[Picture], folder: Path | None = None) -> list[Plate]:
    """Turn pictures into plates, and keep their PNGs in a folder, where one is given."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
    kept = []
    for picture in drawn:
        data = _png(picture)
        if folder is not None:
            replace_file(folder / f"{picture.name}.png", data)
        width, height = (round(SHOWN_DPI * inches) for inches in picture.figure.get_size_inches())
        kept.append(Plate(picture, base64.b64encode(data).decode(), width, height))
    return kept


def save_diagnosis(run: Run, diagnosis: Diagnosis) -> list[Plate]:
    """Write RUN/diagnosis.json and its figures; returns these."""
    replace_file(run.folder / "diagnosis.json", json.dumps(diagnosis.to_plain(), indent=1))
    return plates(pictures(diagnosis), subfolder(run.folder, "figures"))


def _png(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
