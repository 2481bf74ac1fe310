"""Batches: which examples each iteration learns from, as a function of (seed, iteration)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tigon.distributed import Ownership
from tigon.random.streams import make_rng
from tigon.sizes import ImageSize

MOST = 4096  # images that means are taken of at most, where a set may be larger


class Batch(NamedTuple):
    """Images, their rows in the data set, and what is known of each besides.

    Models that do not use a mask or a condition ignore it.

    Attributes:
        images: (B, C, H, W), in [-1, 1]
        index: rows in the data set, (B,)
        mask: 1 where a value was observed and 0 where not, of the images' type, (B, C, H, W) or
            broadcastable to it with B or 1 rows; None where all were
        condition: a label (B,) of int64, or any tensor (B, *); None where there is none
        total: how many images the batch has in all processes; None stands for B, all of them
        among: how many the data set has, inf where that has no known end; None where the batch is
            all of it
    """

    images: Tensor
    index: Tensor  # type: ignore[assignment]
    mask: Tensor | None = None
    condition: Tensor | None = None
    total: int | None = None
    among: float | None = None

    @property
    def size(self) -> int:
        """How many images the batch has in all processes."""
        return len(self.index) if self.total is None else self.total

    def to(self, like: Tensor) -> "Batch":
        """Return the batch on the device of `like`, with all floats of its type."""
        condition = self.condition
        if condition is not None:
            whole = not condition.is_floating_point()
            condition = condition.to(like.device) if whole else condition.to(like)
        return self._replace(
            images=self.images.to(like),
            index=self.index.to(like.device),
            mask=None if self.mask is None else self.mask.to(like),
            condition=condition,
        )

    def take(self, rows: Tensor | slice) -> "Batch":
        """Return some rows of the batch, (R,) or a slice; `size` and `among` stay the whole's."""
        shared = self.mask is None or len(self.mask) < len(self.index)
        return Batch(
            self.images[rows],
            self.index[rows],
            self.mask if shared else self.mask[rows],  # type: ignore[index]
            None if self.condition is None else self.condition[rows],
            self.size,
            self.among,
        )


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

    def read(self, images: "ImageData", iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, of the device and type of `like`."""


class ImageData(ABC):
    """Images of one size that a learner can be given, numbered from 0: rows.

    Attributes:
        skipped: a line for each image that could not be read: its name and why
        classes: what labels are called, by number; none where there are no labels, or no names
        held_out: images of the same data that are not learned from, where there are any
    """

    skipped: Sequence[str] = ()
    classes: Sequence[str] = ()
    held_out: "ImageData | None" = None

    @abstractmethod
    def __len__(self) -> int:
        """Return how many images there are."""

    @property
    @abstractmethod
    def image_size(self) -> ImageSize:
        """Height and width in pixels; one number for a square."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of an image."""

    @abstractmethod
    def batch(self, index: Tensor) -> Batch:
        """Return the images of rows (B,), with mask and condition where there are any."""

    @abstractmethod
    def name(self, row: int) -> str:
        """Return the name of one image."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that tells these images from others."""

    def content(self) -> str:
        """Return a hash that tells these images from others, whatever they are called."""
        return self.fingerprint()

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images as floats in [-1, 1], (B, C, H, W), by rows (B,) or by a slice."""
        if isinstance(index, slice):
            index = torch.arange(*index.indices(len(self)))
        return self.batch(index).images

    @property
    def streamed(self) -> bool:
        """Whether these are but the first images of a stream, to which no row can go back."""
        return False

    @property
    def ownership(self) -> Ownership:
        """Which process owns which images, and their chains."""
        return Ownership()

    def order(self, batch_size: int, seed: int) -> Order:
        """Return the order in which batches are taken."""
        return BatchOrder(len(self), batch_size, seed)

    def mean_colours(self, count: int | None = None) -> Tensor:
        """Return the mean colour of each of the first `count` images, (N, C), in [-1, 1]."""
        rows = slice(len(self) if count is None else count).indices(len(self))
        parts = chunks(range(*rows))
        return torch.cat([self.read(part).mean((2, 3)) for part in parts])

    def mean_rows(self) -> Sequence[int]:
        """Return the rows of the images that `mean_image` is the mean of."""
        return even_rows(len(self), MOST).tolist()

    def mean_image(self) -> Tensor:
        """Return the mean of all images, (C, H, W), in [-1, 1].

        Of more than 4096 images, it is the mean of 4096 of them, evenly spaced: its error is then
        1/64 of the standard deviation of a pixel over the set, less than two grey levels of 255.
        """
        rows = self.mean_rows()
        total = sum(self.read(part).sum(0, dtype=torch.float64) for part in chunks(rows))
        return (total / len(rows)).float()  # type: ignore[union-attr]


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

    def read(self, images: ImageData, iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, of the device and type of `like`."""
        index = self.index(iteration)
        batch = images.batch(images.ownership.owned(index)).to(like)
        return batch._replace(total=len(index), among=self.count)


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=make_rng("order", seed, epoch))


def even_rows(count: int, most: int) -> Tensor:
    """Return the rows of `count` images, (N,); of more than `most`, so many at even distances."""
    return torch.arange(min(count, most)) * count // min(count, most)


def chunks(rows: Sequence[int], size: int = 1024) -> list[Tensor]:
    """Return rows as tensors of at most so many."""
    return list(torch.tensor(rows, dtype=torch.long).split(size))
