"""Pictures as a page holds them, and the files of them that a run keeps."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tigon.families.base import Picture
from tigon.figures import DPI
from tigon.files import replace_file

SHOWN_DPI = 110


class Plate(NamedTuple):
    """A picture that stands in a page.

    Attributes:
        name: of its file, without ending
        title, caption, description: as of a `Picture`
        data: its pixels in base 64, as WebP without loss, which is smaller than PNG
        width, height: as shown, in CSS pixels
    """

    name: str
    title: str
    caption: str
    description: str
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
        words = (picture.name, picture.title, picture.caption, picture.description)
        kept.append(Plate(*words, as_webp(data), width, height))
    return kept


def as_webp(png: bytes) -> str:
    """Return the pixels of a PNG as WebP without loss, in base 64."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(stream, "webp", lossless=True, quality=50)
    return base64.b64encode(stream.getvalue()).decode()


def _png(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
