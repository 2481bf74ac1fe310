"""A chain store remembers the points: one row per chain, row i belonging to example i.

Rows are in memory, or in `.npy` files that are mapped into it, of which only the pages in use take
memory. Either way rows go back to where they were read.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tigon.chain_files import TUNING, RowFiles, Rows, chunks, create
from tigon.streams import Rng, uniform


class ChainStore:
    """The points, step sizes and tuning of all chains, in memory; `mapped` keeps them in files.

    Arguments:
        points: where the chains are now, (N, *)
        step_size: each chain's own step size s > 0, (N,) or one number for all
        tuning: what an adaptation remembers of each chain, (N, TUNING); zeros, nothing yet, if
            not given
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
        self._files: RowFiles | None = None

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
        wanted = None if count is None else (count, *shape)
        if wanted is not None and not (folder / "store.json").exists():
            create(folder, wanted, step_size, draw)
        return cls._of(RowFiles(folder, wanted))

    @classmethod
    def scratch(cls, parent: Path, make: Callable[[Path], object]) -> "ChainStore":
        """Return a store in files that have no name any more, and end with it.

        Arguments:
            parent: folder on the disk that is to hold them
            make: writes a store's files into the folder it is given, as `create` does
        """
        return cls._of(RowFiles.scratch(parent, make))

    @classmethod
    def _of(cls, files: RowFiles) -> "ChainStore":
        self = cls.__new__(cls)
        self._files, self._columns = files, files.columns
        return self

    def copied(self) -> "ChainStore":
        """Return a copy: in memory, or in files without a name beside this store's."""
        if self._files is None:
            return ChainStore(*self._columns)
        return ChainStore._of(RowFiles.scratch(self._files.parent, self._files.copy_to))

    def save(self, folder: Path) -> None:
        """Write rows in files as they are now into a folder, for `mapped` and `restore`.

        Raises:
            ValueError: if rows are in memory: `tensors` gives those
        """
        if self._files is None:
            raise ValueError("rows in memory are no files")
        self._files.copy_to(folder)

    def restore(self, other: "ChainStore") -> None:
        """Take the rows of another store, some at a time.

        Raises:
            ValueError: if it has another shape
        """
        if other is self:
            return
        if other.points.shape != self.points.shape:
            raise ValueError(f"chain rows {tuple(other.points.shape)}, not {self.points.shape}")
        for part in chunks(len(self)):
            for mine, theirs in zip(self._columns, other._columns, strict=True):
                mine[part] = theirs[part]
            self._release()
            other._release()

    def __len__(self) -> int:
        return len(self.points)

    @property
    def in_files(self) -> bool:
        """Whether rows are in files rather than in memory."""
        return self._files is not None

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
        """What adaptation remembers of every chain, (N, TUNING): the store's own rows."""
        return self._columns.tuning

    def read(self, index: Tensor) -> Rows:
        """Return copies of the rows `index` (B,), where `index` is (CPU or GPU)."""
        at = index.to(self.points.device)
        if self._files is not None:
            found = self._files.read(at)
        else:
            found = Rows(*(column[at] for column in self._columns))
        return Rows(*(rows.to(index.device) for rows in found))

    def write(
        self, index: Tensor, points: Tensor, step_size: Tensor, tuning: Tensor | None = None
    ) -> None:
        """Put points (B, *), step sizes (B,) and tuning (B, TUNING) into the rows `index` (B,).

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
        values = [points, step_size] if tuning is None else [points, step_size, tuning]
        at = index.to(self.points.device)
        if self._files is not None:
            return self._files.write(at, values)
        for column, new in zip(self._columns, values, strict=False):
            column[at] = new.detach().to(at.device)

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
        for part in chunks(len(self)):
            if points is not None:
                self.points[part] = points(self.points[part])
            if step_size is not None:
                self.step_size[part] = step_size(self.step_size[part])
            self._release()

    def parts(self) -> Iterator[Tensor]:
        """Yield all points in order, some rows (B, *) at a time, valid until the next."""
        for part in chunks(len(self)):
            yield self.points[part]
            self._release(1)

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
        if self._files is None:
            self._columns = Rows(*map(function, self._columns))
        elif function(torch.empty(0)).dtype != torch.float32:
            raise ValueError("a chain store in files is float32")

    def _release(self, columns: int = len(Rows._fields)) -> None:
        if self._files is not None:
            self._files.release(columns)
