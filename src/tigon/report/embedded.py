"""Figures as a page holds them, and the files of them that a run keeps."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tigon.figures import DPI, Figure
from tigon.files import replace_file

SHOWN_DPI = 110


class Embedded(NamedTuple):
    """A figure that stands in a page.

    Attributes:
        name: of its file, without ending
        title, caption, description: as of a `Figure`
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


def embedded(drawn: Iterable[Figure], folder: Path | None = None) -> list[Embedded]:
    """Embed figures one by one, and keep their PNGs in a folder, where one is given."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
    kept = []
    for figure in drawn:
        data = _png(figure)
        if folder is not None:
            replace_file(folder / f"{figure.name}.png", data)
        width, height = (round(SHOWN_DPI * inches) for inches in figure.drawing.get_size_inches())
        words = (figure.name, figure.title, figure.caption, figure.description)
        kept.append(Embedded(*words, as_webp(data), width, height))
    return kept


def as_webp(png: bytes) -> str:
    """Return the pixels of a PNG as WebP without loss, in base 64."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(stream, "webp", lossless=True, quality=50)
    return base64.b64encode(stream.getvalue()).decode()


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.drawing.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
