"""Batches: which examples each iteration learns from, as a function of (seed, iteration)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from tigon.random.streams import make_rng

if TYPE_CHECKING:
    from tigon.data.images import ImageSet


class Batch(NamedTuple):
    """Images (B, C, H, W) in [-1, 1] and their rows in the data set, (B,).

    `total` is how many images the batch has in all processes; None stands for B, all of them.
    `among` is how many the data set has, inf where that has no known end; None where the batch is
    all of it.
    """

    images: Tensor
    index: Tensor  # type: ignore[assignment]
    total: int | None = None
    among: float | None = None

    @property
    def size(self) -> int:
        """How many images the batch has in all processes."""
        return len(self.index) if self.total is None else self.total


class Order(Protocol):
    """Which examples each iteration learns from."""

    @property
    def unit(self) -> int:
        """Examples that gradient evaluations are counted by: 1 is a pass over so many."""

    @property
    def batches(self) -> int:
        """Batches in an epoch; 1 where it has no known end."""

    def size(self, iteration: int) -> int:
        """Return how many examples the batch of an iteration has, in all processes, at most."""

    def read(self, images: "ImageSet", iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, of the device and type of `like`."""


@dataclass(frozen=True)
class BatchOrder:
    """Every example once an epoch, in an order that depends on (seed, epoch) alone.

    A batch of the whole set keeps the set's order. The last batch of an epoch may be smaller.

    Arguments:
        count: examples in the set, >= 1
        batch_size: examples in a batch, >= 1
        seed: of the order, >= 0
    """

    count: int
    batch_size: int
    seed: int

    @property
    def batches(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def unit(self) -> int:
        """Examples that gradient evaluations are counted by: the set's."""
        return self.count

    def size(self, iteration: int) -> int:
        """Return how many examples the batch of an iteration has, in all processes."""
        number = iteration % self.batches
        return min(self.batch_size, self.count - number * self.batch_size)

    def index(self, iteration: int) -> Tensor:
        """Return the rows of the batch of this iteration (0, 1, ...), (B,)."""
        if self.batches == 1:
            return torch.arange(self.count)
        epoch, number = divmod(iteration, self.batches)
        rows = _permutation(self.count, self.seed, epoch)
        return rows[number * self.batch_size : (number + 1) * self.batch_size]

    def read(self, images: "ImageSet", iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, of the device and type of `like`."""
        index = self.index(iteration)
        own = images.ownership.owned(index)
        return Batch(images.read(own).to(like), own.to(like.device), len(index), self.count)


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=make_rng("order", seed, epoch))
