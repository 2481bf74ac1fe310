"""Figures embedded in a page, and their files in a run folder."""

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
    """A figure embedded in a page.

    Attributes:
        name: name of its file, without extension
        title, caption, description: as in a `Figure`
        data: its pixels in base 64, as lossless WebP, which is smaller than PNG
        width, height: size on the page, in CSS pixels
    """

    name: str
    title: str
    caption: str
    description: str
    data: str
    width: int
    height: int


def embedded(drawn: Iterable[Figure], folder: Path | None = None) -> list[Embedded]:
    """Embed figures one by one, and save their PNGs in a folder if one is given."""
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
    """Return the pixels of a PNG as lossless WebP, in base 64."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(stream, "webp", lossless=True, quality=50)
    return base64.b64encode(stream.getvalue()).decode()


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.drawing.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
