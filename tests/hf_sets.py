"""Data sets of Hugging Face that are made here."""

import io
from pathlib import Path

import datasets
from PIL import Image


def png(tint, size=8, kind="PNG") -> bytes:
    """A picture of one colour, whose red is `tint`."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), (tint, 0, 255 - tint)).save(stream, kind)
    return stream.getvalue()


def parquet(folder: Path, cells, split="train", column="image") -> Path:
    """Write a data set of pictures, each as bytes or as a whole cell."""
    cells = [c if isinstance(c, dict) else {"bytes": c, "path": None} for c in cells]
    features = datasets.Features({"label": datasets.Value("int64"), column: datasets.Image()})
    rows = {"label": list(range(len(cells))), column: cells}
    folder.mkdir(exist_ok=True)
    datasets.Dataset.from_dict(rows, features).to_parquet(str(folder / f"{split}.parquet"))
    return folder


def tints(folder: Path, count: int, bad=()) -> Path:
    """A data set in the folder `tints`, whose picture k has k as its red, but for bad ones."""
    return parquet(folder / "tints", [b"bad" if k in bad else png(k) for k in range(count)])
