"""A chain store remembers the points: one row per chain, row i belonging to example i.

Rows are in memory, or in `.npy` files that are mapped into it, of which only the pages in use take
memory. Either way rows go back to where they were read.
"""

import json
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.errors import TigonError
from tigon.files import replace_file
from tigon.streams import Rng, uniform

TUNING = 3
CHUNK = 4096  # rows in files that follow one another, treated at once
TOUCHED = 8  # rows in files anywhere: to touch one can map a megabyte around it


class Rows(NamedTuple):
    """Rows of a store: points (B, *), step sizes (B,), and what adaptation remembers (B, 3)."""

    points: Tensor
    step_size: Tensor
    tuning: Tensor


class ChainStore:
    """The points, step sizes and tuning of all chains, in memory; `mapped` keeps them in files.

    Arguments:
        points: where the chains are now, (N, *)
        step_size: each chain's own step size s > 0, (N,) or one number for all
        tuning: what an adaptation remembers of each chain, (N, 3); zeros, nothing yet, if not
            given
    """

    def __init__(
        self, points: Tensor, step_size: float | Tensor, tuning: Tensor | None = None
    ) -> None:
        sizes = torch.as_tensor(step_size, dtype=points.dtype, device=points.device)
        none = points.new_zeros(len(points), TUNING)
        self._columns = Rows(
            points.clone(),
            sizes.expand(len(points)).clone(),
            none if tuning is None else tuning.clone(),
        )
        self._maps: list[mmap.mmap] = []

    @classmethod
    def mapped(
        cls,
        folder: Path,
        count: int | None = None,
        shape: Sequence[int] = (),
        step_size: float = 0.1,
        draw: Callable[[Tensor], Tensor] | None = None,
    ) -> "ChainStore":
        """Open the store in a folder, or make one there of `count` rows.

        Arguments:
            folder: of `points.npy`, `step_size.npy` and `tuning.npy`
            count: of rows, float32; an existing store has as many or is refused; None takes it
                as it is
            shape: of one point
            step_size: s that every chain starts with
            draw: fills points, called with a slice (B, *) of the rows at a time; zeros if not
                given
        Raises:
            TigonError: if there is no store, or it is damaged or of another shape
        """
        if not (folder / "store.json").exists():
            if count is None:
                raise TigonError(f"chain store {folder}: there is none")
            _create(folder, count, tuple(shape), step_size, draw)
        found = _described(folder)
        if count is not None and found != (count, *shape):
            raise TigonError(
                f"chain store {folder}: holds {found}, not {(count, *shape)}; give another folder"
            )
        self = cls.__new__(cls)
        self._maps = []
        columns = _shapes(found)._asdict()
        self._columns = Rows(*(self._map(folder / f"{n}.npy", columns[n]) for n in columns))
        return self

    def __len__(self) -> int:
        return len(self.points)

    @property
    def points(self) -> Tensor:
        """Where all chains are, (N, *): the store's own rows."""
        return self._columns.points

    @property
    def step_size(self) -> Tensor:
        """Every chain's step size, (N,): the store's own rows."""
        return self._columns.step_size

    @property
    def tuning(self) -> Tensor:
        """What adaptation remembers of every chain, (N, 3): the store's own rows."""
        return self._columns.tuning

    def read(self, index: Tensor) -> Rows:
        """Return copies of the rows `index` (B,), where `index` is (CPU or GPU)."""
        at = index.to(self.points.device)
        points = []
        for part in self._parts(len(at), TOUCHED):
            points.append(self.points[at[part]])
            self._release(1)
        found = Rows(torch.cat(points), self.step_size[at], self.tuning[at])
        self._release()
        return Rows(*(rows.to(index.device) for rows in found))

    def write(
        self, index: Tensor, points: Tensor, step_size: Tensor, tuning: Tensor | None = None
    ) -> None:
        """Put points (B, *), step sizes (B,) and tuning (B, 3) into the rows `index` (B,).

        Raises:
            ValueError: if shapes differ, or a row would be written twice
        """
        if points.shape != (len(index), *self.points.shape[1:]) or len(step_size) != len(index):
            raise ValueError(
                f"{len(index)} rows of {tuple(self.points.shape[1:])} expected, "
                f"got {tuple(points.shape)} and {tuple(step_size.shape)}"
            )
        if len(index.unique()) != len(index):
            raise ValueError("a row of the chain store would be written twice")
        at = index.to(self.points.device)
        for part in self._parts(len(at), TOUCHED):
            self.points[at[part]] = points[part].detach().to(at.device)
            self._release(1)
        self.step_size[at] = step_size.detach().to(at.device)
        if tuning is not None:
            self.tuning[at] = tuning.detach().to(at.device)
        self._release()

    def restart(
        self, index: Tensor, probability: float, draw: Callable[[Tensor, Rng], Tensor], rng: Rng
    ) -> Tensor:
        """Start each of the rows `index` (B,) anew with a probability; returns which, (B,).

        A row that starts anew has forgotten its tuning; it keeps its step size, which belongs to
        its density.

        Arguments:
            probability: in [0, 1]
            draw: from points (B, *) and a generator, fresh points of their shape and type, such
                as `Gaussian().sample`
            rng: one generator, or a stream for each row
        Raises:
            ValueError: if the probability is none
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"a probability is in [0, 1], not {probability}")
        old = self.read(index)
        anew = uniform(rng, old.points) < probability
        fresh = draw(old.points, rng)
        if bool(anew.any()):
            self.write(
                index[anew], fresh[anew], old.step_size[anew], torch.zeros_like(old.tuning[anew])
            )
        return anew

    def replace(
        self,
        points: Callable[[Tensor], Tensor] | None = None,
        step_size: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Replace all points, step sizes, or both by functions of them, some rows at a time."""
        for part in self._parts(len(self), CHUNK):
            if points is not None:
                self.points[part] = points(self.points[part])
            if step_size is not None:
                self.step_size[part] = step_size(self.step_size[part])
            self._release()

    def tensors(self) -> dict[str, Tensor]:
        """Return the rows by name, to be saved."""
        return self._columns._asdict()

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take rows as `tensors` gave them; without `tuning`, nothing is remembered.

        Raises:
            ValueError: if they have other shapes than this store's
        """
        for name, mine in self.tensors().items():
            theirs = tensors.get(name, torch.zeros_like(mine) if name == "tuning" else None)
            if theirs is None or theirs.shape != mine.shape:
                shape = None if theirs is None else tuple(theirs.shape)
                raise ValueError(f"chain rows {name}: {shape} saved, {tuple(mine.shape)} expected")
            mine.copy_(theirs)
        self._release()

    def move(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace every column by `function` of it, such as a move to a device or to a type.

        Rows in files stay there: `read` brings them to the index's device.

        Raises:
            ValueError: if rows in files would change their type
        """
        if not self._maps:
            self._columns = Rows(*map(function, self._columns))
        elif function(torch.empty(0)).dtype != torch.float32:
            raise ValueError("a chain store in files is float32")

    def _parts(self, count: int, size: int) -> Iterator[slice]:
        """Yield slices of so many of `count` rows in files; one slice where rows are in memory."""
        size = size if self._maps and count else max(1, count)
        return (slice(first, first + size) for first in range(0, max(1, count), size))

    def _map(self, path: Path, shape: tuple[int, ...]) -> Tensor:
        """Map a file that is exactly what `_create` writes: else rows would be read beyond it."""
        header = _header(shape)
        size = len(header) + 4 * math.prod(shape)
        try:
            with path.open("r+b") as file:
                found, begun = path.stat().st_size, file.read(len(header))
                if found != size or begun != header:
                    raise TigonError(
                        f"chain rows {path}: damaged ({found} bytes, not {size} for float32 "
                        f"{shape}{'' if begun == header else ', or another header'})"
                    )
                area = mmap.mmap(file.fileno(), 0)
        except OSError as error:
            raise TigonError(f"chain rows {path}: cannot be read ({error})") from error
        self._maps.append(area)
        flat = np.frombuffer(area, "<f4", math.prod(shape), len(header))
        return torch.from_numpy(flat.reshape(shape))

    def _release(self, columns: int = len(Rows._fields)) -> None:
        """Let go of mapped pages: the files, or the system's cache, have what was written."""
        for area in self._maps[:columns]:
            area.madvise(mmap.MADV_DONTNEED)


def _create(
    folder: Path,
    count: int,
    shape: tuple[int, ...],
    step_size: float,
    draw: Callable[[Tensor], Tensor] | None,
) -> None:
    """Write a store's files; `store.json`, written last, says that they are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in _shapes((count, *shape))._asdict().items():
        with (folder / f"{name}.npy").open("wb") as file:
            file.write(_header(size))
            for first in range(0, count, CHUNK):
                rows = torch.zeros(min(CHUNK, count - first), *size[1:])
                if name == "points" and draw is not None:
                    rows = draw(rows)
                if name == "step_size":
                    rows += step_size
                file.write(rows.contiguous().numpy().tobytes())
    replace_file(folder / "store.json", json.dumps({"rows": count, "shape": shape}))


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


def _shapes(points: tuple[int, ...]) -> Rows:
    """Return each column's shape, of points (N, *)."""
    return Rows(points, points[:1], (points[0], TUNING))  # type: ignore[arg-type]


def _header(shape: tuple[int, ...]) -> bytes:
    """Return what a `.npy` file of float32 begins with (format 1.0), whatever numpy is there."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + " " * (-(max(len(text), 117) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
