"""Rows of a chain store in a memory-mapped `.npy` file; only the pages in use take memory."""

import json
import math
import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tigon.errors import TigonError
from tigon.files import FileRows, npy_header, release_pages, replace_file

CHUNK = 4096  # consecutive rows that are processed at once
POINTS = "points.npy"


class RowFile:
    """The memory-mapped file `points.npy` of a folder.

    Arguments:
        folder: folder of the file and of `store.json`, which contains its shape
        shape: required shape of all points, (N, *); None accepts any

    Attributes:
        points: the rows, float32, as a tensor backed by the file
    """

    def __init__(self, folder: Path, shape: tuple[int, ...] | None = None) -> None:
        if not (folder / "store.json").exists():
            raise TigonError(f"chain store {folder}: there is none")
        self.shape = _described(folder)
        if shape is not None and self.shape != shape:
            raise TigonError(
                f"chain store {folder}: has shape {self.shape}, not {shape}; give another folder"
            )
        self.parent = folder.parent
        self._file, self._area, self.points = _mapped(folder / POINTS, self.shape)
        count, *row = self.shape
        start = len(npy_header(self.shape, "<f4"))
        self._rows = FileRows(self._file.fileno(), start, 4 * math.prod(row), count)

    @classmethod
    def scratch(cls, parent: Path, make: Callable[[Path], object]) -> "RowFile":
        """Map an unlinked file, which disappears with its last user.

        Arguments:
            parent: folder on the disk where the file is created
            make: writes a store's files into the folder it is given
        """
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".chains-", dir=parent))
        try:
            make(folder)
            return cls(folder)
        finally:
            shutil.rmtree(folder)

    def copy_to(self, folder: Path) -> None:
        """Copy the file into a folder, using little memory."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file.seek(0)
        with (folder / POINTS).open("wb") as copy:
            shutil.copyfileobj(self._file, copy, 2**20)
        _describe(folder, self.shape)

    def read(self, index: Tensor) -> Tensor:
        """Return copies of the rows `index` (B,), without mapping them."""
        at = index.tolist()
        values = np.frombuffer(self._rows.read(at), "<f4").reshape(len(at), *self.shape[1:])
        return torch.from_numpy(values)

    def write(self, index: Tensor, points: Tensor) -> None:
        """Write points (B, *) to rows `index` (B,), unmapped: they may be many pages apart."""
        values = points.detach().to("cpu", torch.float32).numpy()
        self._rows.write(index.tolist(), values.astype("<f4").tobytes())

    def release(self) -> None:
        """Release mapped pages; the file, or the system's cache, has what was written."""
        release_pages(self._area)


def _mapped(path: Path, shape: tuple[int, ...]) -> tuple[FileIO, mmap.mmap, Tensor]:
    """Map a file if it is exactly what `create` writes; otherwise rows could be read beyond it."""
    header = npy_header(shape, "<f4")
    size = len(header) + 4 * math.prod(shape)
    try:
        file = path.open("r+b", buffering=0)
        found, begun = path.stat().st_size, file.read(len(header))
        if found != size or begun != header:
            file.close()
            raise TigonError(
                f"chain rows {path}: damaged ({found} bytes, not {size} for float32 "
                f"{shape}{'' if begun == header else ', or another header'})"
            )
        area = mmap.mmap(file.fileno(), 0)
    except OSError as error:
        raise TigonError(f"chain rows {path}: cannot be read ({error})") from error
    flat = np.frombuffer(area, "<f4", math.prod(shape), len(header))
    return file, area, torch.from_numpy(flat.reshape(shape))


def create(folder: Path, shape: tuple[int, ...], draw: Callable[[Tensor], Tensor] | None) -> None:
    """Write a store's file; `store.json` is written last and marks it as complete.

    Arguments:
        shape: shape of all points, (N, *)
        draw: fills points, called with a slice (B, *) at a time; zeros if None
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / POINTS).open("wb") as file:
        file.write(npy_header(shape, "<f4"))
        for part in chunks(shape[0]):
            rows = torch.zeros(part.stop - part.start, *shape[1:])
            rows = rows if draw is None else draw(rows)
            file.write(rows.contiguous().numpy().tobytes())
    _describe(folder, shape)


def chunks(count: int, size: int | None = None) -> Iterator[slice]:
    """Yield slices of `size` or `CHUNK` rows that cover `count` rows; an empty one for none."""
    size = size or CHUNK
    return (slice(first, min(first + size, count)) for first in range(0, max(1, count), size))


def _describe(folder: Path, shape: tuple[int, ...]) -> None:
    replace_file(folder / "store.json", json.dumps({"rows": shape[0], "shape": shape[1:]}))


def _described(folder: Path) -> tuple[int, ...]:
    """Return the shape of all points from `store.json`."""
    path = folder / "store.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        shape = (found["rows"], *found["shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TigonError(f"chain store {path}: cannot be read ({error})") from error
    if not all(type(n) is int and n >= 0 for n in shape):
        raise TigonError(f"chain store {path}: has an invalid shape: {shape}")
    return shape
