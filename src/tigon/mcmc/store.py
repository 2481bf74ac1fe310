"""A chain store remembers the points: one row per chain, row i belonging to example i.

Rows are in memory, or in memory-mapped `.npy` files, of which only the pages in use take memory.
Either way, rows are written back to where they were read.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tigon.mcmc.store_files import RowFile, chunks, create


class ChainStore:
    """The points of all chains, in memory; `mapped` keeps them in a file.

    Arguments:
        points: the current points of the chains, (N, *)
    """

    def __init__(self, points: Tensor) -> None:
        self._points = points.clone()
        self._file: RowFile | None = None

    @classmethod
    def mapped(
        cls,
        folder: Path,
        count: int | None = None,
        shape: Sequence[int] = (),
        draw: Callable[[Tensor], Tensor] | None = None,
    ) -> "ChainStore":
        """Open the store in a folder, or create one with `count` rows.

        Arguments:
            folder: folder of `points.npy` and `store.json`
            count: number of rows, float32; an existing store must have as many; None accepts any
            shape: shape of one point
            draw: fills points, called with a slice (B, *) of the rows at a time; zeros if not
                given
        Raises:
            TigonError: if there is no store, or it is damaged or of another shape
        """
        wanted = None if count is None else (count, *shape)
        if wanted is not None and not (folder / "store.json").exists():
            create(folder, wanted, draw)
        return cls._of(RowFile(folder, wanted))

    @classmethod
    def scratch(cls, parent: Path, make: Callable[[Path], object]) -> "ChainStore":
        """Return a store in an unlinked file, which disappears with the store.

        Arguments:
            parent: folder on the disk where the file is created
            make: writes a store's file into the folder it is given, as `create` does
        """
        return cls._of(RowFile.scratch(parent, make))

    @classmethod
    def _of(cls, file: RowFile) -> "ChainStore":
        self = cls.__new__(cls)
        self._file, self._points = file, file.points
        return self

    def copied(self) -> "ChainStore":
        """Return a copy: in memory, or in an unlinked file on the same disk."""
        if self._file is None:
            return ChainStore(self._points)
        return ChainStore._of(RowFile.scratch(self._file.parent, self._file.copy_to))

    def save(self, folder: Path) -> None:
        """Write the current rows of a store in a file into a folder, for `mapped` and `restore`.

        Raises:
            ValueError: if rows are in memory; use `points` for those
        """
        if self._file is None:
            raise ValueError("this store is in memory, not in a file")
        self._file.copy_to(folder)

    def restore(self, other: "ChainStore") -> None:
        """Copy the rows of another store, some at a time.

        Raises:
            ValueError: if it has another shape
        """
        if other is self:
            return
        self.require(other.points)
        for part in chunks(len(self)):
            self.points[part] = other.points[part]
            self._release()
            other._release()

    def __len__(self) -> int:
        return len(self.points)

    @property
    def in_files(self) -> bool:
        """Whether rows are in a file rather than in memory."""
        return self._file is not None

    @property
    def points(self) -> Tensor:
        """The points of all chains, (N, *): the store's own rows, not a copy."""
        return self._points

    def read(self, index: Tensor) -> Tensor:
        """Return copies of the rows `index` (B,), on the device of `index`."""
        at = index.to(self.points.device)
        found = self._points[at] if self._file is None else self._file.read(at)
        return found.to(index.device)

    def write(self, index: Tensor, points: Tensor) -> None:
        """Put points (B, *) into the rows `index` (B,).

        Raises:
            ValueError: if shapes differ, or a row would be written twice
        """
        if points.shape != (len(index), *self.points.shape[1:]):
            raise ValueError(
                f"{len(index)} rows of {tuple(self.points.shape[1:])} expected, "
                f"got {tuple(points.shape)}"
            )
        if len(index.unique()) != len(index):
            raise ValueError("a row of the chain store would be written twice")
        at = index.to(self.points.device)
        if self._file is not None:
            return self._file.write(at, points)
        self._points[at] = points.detach().to(at.device)

    def replace(self, points: Callable[[Tensor], Tensor]) -> None:
        """Replace all points with a function of them, some rows at a time."""
        for part in chunks(len(self)):
            self.points[part] = points(self.points[part])
            self._release()

    def parts(self) -> Iterator[Tensor]:
        """Yield all points in order, some rows (B, *) at a time, valid until the next."""
        for part in chunks(len(self)):
            yield self.points[part]
            self._release()

    def load(self, points: Tensor) -> None:
        """Load all points (N, *).

        Raises:
            ValueError: if their shape differs from this store's
        """
        self.require(points)
        self._points.copy_(points)
        self._release()

    def require(self, points: Tensor) -> None:
        """Check the shape of points.

        Raises:
            ValueError: if it differs, with both shapes
        """
        if points.shape != self.points.shape:
            raise ValueError(f"chain rows {tuple(points.shape)}, not {tuple(self.points.shape)}")

    def move(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace all points with `function` of them, such as a conversion of device or type.

        Rows in a file stay there: `read` moves them to the device of the index.

        Raises:
            ValueError: if rows in a file would change their type
        """
        if self._file is None:
            self._points = function(self._points)
        elif function(torch.empty(0)).dtype != torch.float32:
            raise ValueError("a chain store in a file must be float32")

    def _release(self) -> None:
        if self._file is not None:
            self._file.release()
