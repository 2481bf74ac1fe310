"""The arrays and names of all shards joined; each process reads its own part."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from tigon.data.cache import Entry, release
from tigon.data.lazy_rows import LazyRows
from tigon.distributed import ShardOwnership
from tigon.errors import TigonError
from tigon.files import printable


class Shard(NamedTuple):
    """What all processes know about a shard: its path, its owner, and the owner's description.

    `classes` are the names of its labels; None if it has no labels. `content` is a hash of its
    images, whatever their names.
    """

    path: str
    owner: int
    images: int
    fingerprint: str
    classes: tuple[str, ...] | None
    content: str


class ShardedRows(LazyRows):
    """The arrays of all shards as one array (N, *); a process can read the rows it owns.

    Arguments:
        shards: all shards, in the order of their rows
        arrays: the arrays of this process's shards, by path
        shape: shape of a row
        dtype: type of the arrays
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        arrays: dict[str, np.ndarray],
        shape: tuple[int, ...],
        dtype: type = np.uint8,
    ) -> None:
        self.shards, self.arrays = shards, arrays
        super().__init__((sum(shard.images for shard in shards), *shape), dtype)
        self._place = ownership(shards)

    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,).

        Raises:
            TigonError: if another process owns one of them
        """
        index = torch.from_numpy(self._index(rows))
        found = np.empty((len(index), *self.shape[1:]), self.dtype)
        places = self._place.shards(index)
        for number in places.unique().tolist():
            here = (places == number).numpy()
            shard = self.shards[number]
            if shard.path not in self.arrays:
                raise TigonError(f"data '{shard.path}': belongs to process {shard.owner}")
            within = index[here].numpy() - int(self._place.starts[number])
            found[here] = self.arrays[shard.path][within]
            release(self.arrays[shard.path])
        return found[0] if isinstance(rows, int | np.integer) else found

    def _index(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        whole = isinstance(rows, int | np.integer)
        return np.array([range(len(self))[rows]]) if whole else np.asarray(rows)


class ShardedNames(Sequence[str]):
    """A name for every image of all shards: the shard's name, and the image's name or number."""

    def __init__(self, shards: Sequence[Shard], entries: dict[str, Entry]) -> None:
        self.shards, self.entries = shards, entries
        self._place = ownership(shards)

    def __len__(self) -> int:
        return int(self._place.ends[-1])

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401
        """Return one name, or a list of names for a slice."""
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        number = int(self._place.shards(torch.tensor(row)))
        shard, within = self.shards[number], row - int(self._place.starts[number])
        label = printable(os.path.basename(shard.path))
        entry = self.entries.get(shard.path)
        return f"{label}/{entry.names[within]}" if entry else f"{label}/[{within}]"


def ownership(shards: Sequence[Shard]) -> ShardOwnership:
    """Return which process owns which rows of these shards."""
    return ShardOwnership([s.images for s in shards], [s.owner for s in shards])
