"""What the scripts that make pictures share: figures as pixels, tables, the machine."""

import io
import os
import re
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from tigon import figures

HERE = Path(__file__).parent


def strip(images: np.ndarray) -> Figure:
    """Show ten images in two rows, four inches wide."""
    figure = Figure((4, 1.7))
    axes = figure.add_axes((0.06, 0, 0.88, 1))
    axes.imshow(figures.tile(images, 5), interpolation="nearest")
    axes.axis("off")
    return figure


def drawn(figure: Figure, dpi: int = 100) -> np.ndarray:
    """Return a figure's pixels, uint8 (H, W, 3)."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return np.asarray(Image.open(stream).convert("RGB"))


class Table:
    """A Markdown table, row by row.

    Arguments:
        heads: the column headings
    """

    def __init__(self, *heads: str) -> None:
        self.lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]

    def add(self, *cells: str) -> None:
        """Append a row."""
        self.lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")

    def __str__(self) -> str:
        return "\n".join(self.lines)


def rewrite(page: Path, section: str, text: str) -> Path:
    """Put `text` between `<!-- section -->` and `<!-- /section -->` on a page; return the page.

    Raises:
        ValueError: if the page does not have the section exactly once
    """
    first, last = f"<!-- {section} -->", f"<!-- /{section} -->"
    pattern = f"{re.escape(first)}.*?{re.escape(last)}"
    changed, count = re.subn(
        pattern, lambda _: f"{first}\n\n{text}\n\n{last}", page.read_text("utf-8"), flags=re.S
    )
    if count != 1:
        raise ValueError(f"{page}: has the section {section} {count} times")
    page.write_text(changed, "utf-8")
    return page


def machine() -> str:
    """Return the processor, its cores, the torch version and the date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cores = f"{os.cpu_count()} cores (1 thread used)"
    return f"{names[0]}, {cores}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
