"""Rows of a chain store in `.npy` files, of which only the pages in use take memory."""

import json
import math
import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.errors import TigonError
from tigon.files import FileRows, replace_file

TUNING = 4  # numbers that an adaptation remembers of each chain, no more than these
CHUNK = 4096  # rows that follow one another, treated at once


class Rows(NamedTuple):
    """Rows of a store: points (B, *), step sizes (B,), what adaptation remembers (B, TUNING)."""

    points: Tensor
    step_size: Tensor
    tuning: Tensor


class RowFiles:
    """`points.npy`, `step_size.npy` and `tuning.npy` of a folder, mapped into memory.

    Arguments:
        folder: of the files and of `store.json`, which tells their shape
        shape: of all points, (N, *), that the files have or are refused; None takes them as they
            are

    Attributes:
        columns: the rows, float32, as tensors that are the files
    """

    def __init__(self, folder: Path, shape: tuple[int, ...] | None = None) -> None:
        if not (folder / "store.json").exists():
            raise TigonError(f"chain store {folder}: there is none")
        self.shape = _described(folder)
        if shape is not None and self.shape != shape:
            raise TigonError(
                f"chain store {folder}: holds {self.shape}, not {shape}; give another folder"
            )
        self.parent = folder.parent
        self._files: list[FileIO] = []
        self._areas: list[mmap.mmap] = []
        shapes = shapes_of(self.shape)._asdict()
        self.columns = Rows(*(self._map(folder / f"{n}.npy", shapes[n]) for n in shapes))
        count, *row = self.shape
        start = len(_header(self.shape))
        self._points = FileRows(self._files[0].fileno(), start, 4 * math.prod(row), count)

    @classmethod
    def scratch(cls, parent: Path, make: Callable[[Path], object]) -> "RowFiles":
        """Map files that have no name any more: they are gone with the last who uses them.

        Arguments:
            parent: folder on the disk that is to hold them
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
        """Write the files as they are now into a folder, through little memory."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in zip(Rows._fields, self._files, strict=True):
            file.seek(0)
            with (folder / f"{name}.npy").open("wb") as copy:
                shutil.copyfileobj(file, copy, 2**20)
        _describe(folder, self.shape)

    def read(self, index: Tensor) -> Rows:
        """Return copies of the rows `index` (B,): of the points, without mapping them."""
        at, (points, *small) = index.tolist(), self.columns
        values = np.frombuffer(self._points.read(at), "<f4").reshape(len(at), *points.shape[1:])
        return Rows(torch.from_numpy(values), *[column[index] for column in small])

    def write(self, index: Tensor, values: Sequence[Tensor]) -> None:
        """Put the values (B, *) of the first columns into the rows `index` (B,).

        Points are written to the file, unmapped: they may be many pages apart. The other columns
        are a few numbers a row, whose pages stay mapped.
        """
        points, *small = (new.detach().to("cpu", torch.float32) for new in values)
        self._points.write(index.tolist(), points.numpy().astype("<f4").tobytes())
        for column, new in zip(self.columns[1:], small, strict=False):
            column[index] = new

    def release(self, columns: int = len(Rows._fields)) -> None:
        """Let go of mapped pages: the files, or the system's cache, have what was written."""
        for area in self._areas[:columns]:
            area.madvise(mmap.MADV_DONTNEED)

    def _map(self, path: Path, shape: tuple[int, ...]) -> Tensor:
        """Map a file that is exactly what `create` writes: else rows would be read beyond it."""
        header = _header(shape)
        size = len(header) + 4 * math.prod(shape)
        try:
            file = path.open("r+b", buffering=0)
            self._files.append(file)
            found, begun = path.stat().st_size, file.read(len(header))
            if found != size or begun != header:
                raise TigonError(
                    f"chain rows {path}: damaged ({found} bytes, not {size} for float32 "
                    f"{shape}{'' if begun == header else ', or another header'})"
                )
            area = mmap.mmap(file.fileno(), 0)
        except OSError as error:
            raise TigonError(f"chain rows {path}: cannot be read ({error})") from error
        self._areas.append(area)
        flat = np.frombuffer(area, "<f4", math.prod(shape), len(header))
        return torch.from_numpy(flat.reshape(shape))


def create(
    folder: Path,
    shape: tuple[int, ...],
    step_size: float,
    draw: Callable[[Tensor], Tensor] | None,
) -> None:
    """Write a store's files; `store.json`, written last, says that they are whole.

    Arguments:
        shape: of all points, (N, *)
        step_size: of every chain
        draw: fills points, called with a slice (B, *) at a time; zeros if None
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in shapes_of(shape)._asdict().items():
        with (folder / f"{name}.npy").open("wb") as file:
            file.write(_header(size))
            for part in chunks(shape[0]):
                rows = torch.zeros(part.stop - part.start, *size[1:])
                if name == "points" and draw is not None:
                    rows = draw(rows)
                if name == "step_size":
                    rows += step_size
                file.write(rows.contiguous().numpy().tobytes())
    _describe(folder, shape)


def chunks(count: int, size: int | None = None) -> Iterator[slice]:
    """Yield slices of `size` rows, or of `CHUNK`, that make up `count`; an empty one of none."""
    size = size or CHUNK
    return (slice(first, min(first + size, count)) for first in range(0, max(1, count), size))


def shapes_of(points: tuple[int, ...]) -> Rows:
    """Return each column's shape, of points (N, *)."""
    return Rows(points, points[:1], (points[0], TUNING))  # type: ignore[arg-type]


def _describe(folder: Path, shape: tuple[int, ...]) -> None:
    replace_file(folder / "store.json", json.dumps({"rows": shape[0], "shape": shape[1:]}))


def _described(folder: Path) -> tuple[int, ...]:
    """Return the shape of all points that `store.json` tells."""
    path = folder / "store.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        shape = (found["rows"], *found["shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TigonError(f"chain store {path}: cannot be read ({error})") from error
    if not all(type(n) is int and n >= 0 for n in shape):
        raise TigonError(f"chain store {path}: tells no shape but {shape}")
    return shape


def _header(shape: tuple[int, ...]) -> bytes:
    """Return what a `.npy` file of float32 begins with (format 1.0), whatever numpy is there."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + " " * (-(max(len(text), 117) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
