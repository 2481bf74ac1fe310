"""Batches: the examples that each iteration learns from, as a function of (seed, iteration)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tigon.distributed import Ownership
from tigon.random.streams import make_rng
from tigon.sizes import ImageSize, sides

MOST = 4096  # means of a larger set are taken over this many images


class Batch(NamedTuple):
    """Images, their rows in the data set, and optionally masks and conditions.

    Learners that do not use a condition ignore it. Those that do not use a mask refuse data with
    missing values: see `Learner.masks`.

    Attributes:
        images: (B, C, H, W), in [-1, 1]; where a value is missing, what is there says nothing
        index: rows in the data set, (B,)
        mask: 1 where a value was observed and 0 elsewhere, with the images' type, (B, C, H, W) or
            broadcastable to it with B or 1 rows; None if all were observed
        condition: int64 labels (B,), or any tensor (B, *); None if there is none
        total: number of images of the batch in all processes; None means B
        among: number of images in the data set, inf if it has no known end; None if the batch is
            the whole set
    """

    images: Tensor
    index: Tensor  # type: ignore[assignment]
    mask: Tensor | None = None
    condition: Tensor | None = None
    total: int | None = None
    among: float | None = None

    @property
    def size(self) -> int:
        """Number of images of the batch in all processes."""
        return len(self.index) if self.total is None else self.total

    @property
    def observed(self) -> Tensor | None:
        """The mask of each value, (B, C, H, W); None if all were observed."""
        return None if self.mask is None else self.mask.expand_as(self.images)

    def completed(self, images: Tensor) -> Tensor:
        """Return the images with those given, (B, C, H, W), in the place of missing values."""
        return (
            self.images if self.mask is None else torch.where(self.mask > 0, self.images, images)
        )

    def to(self, like: Tensor) -> "Batch":
        """Return the batch on the device of `like`, with all floats in its type."""
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
        """Return some rows (R,) or a slice of the batch; `size` and `among` do not change."""
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
    """The examples that each iteration learns from."""

    @property
    def unit(self) -> int:
        """Number of examples in one pass, the unit of gradient evaluations."""

    @property
    def batches(self) -> int:
        """Batches in an epoch; 1 if it has no known end."""

    def size(self, iteration: int) -> int:
        """Return the most examples that an iteration's batch can have, in all processes."""

    def read(self, images: "ImageData", iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, with the device and type of `like`."""


class ImageData(ABC):
    """Images of one size for a learner; their rows are numbered from 0.

    Attributes:
        skipped: a line for each image that could not be read: its name and why
        classes: names of the labels, by number; empty without labels or names
        held_out: images of the same data that are not learned from, if any
    """

    skipped: Sequence[str] = ()
    classes: Sequence[str] = ()
    held_out: "ImageData | None" = None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @property
    @abstractmethod
    def image_size(self) -> ImageSize:
        """Height and width in pixels; one number for a square."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of channels."""

    @abstractmethod
    def batch(self, index: Tensor) -> Batch:
        """Return the images of rows (B,), with mask and condition if there are any."""

    @abstractmethod
    def name(self, row: int) -> str:
        """Return the name of one image."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that identifies these images."""

    def content(self) -> str:
        """Return a hash that identifies these images, whatever their names."""
        return self.fingerprint()

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images by rows (B,) or a slice, as floats in [-1, 1], (B, C, H, W)."""
        if isinstance(index, slice):
            index = torch.arange(*index.indices(len(self)))
        return self.batch(index).images

    @property
    def incomplete(self) -> bool:
        """Whether values are missing: batches then have masks."""
        return False

    @property
    def streamed(self) -> bool:
        """Whether these are only the first images of a stream, which cannot be indexed by row."""
        return False

    @property
    def ownership(self) -> Ownership:
        """Which process owns which images and their chains."""
        return Ownership()

    def order(self, batch_size: int, seed: int) -> Order:
        """Return the order of the batches."""
        return BatchOrder(len(self), batch_size, seed)

    def mean_colours(self, count: int | None = None) -> Tensor:
        """Return the mean observed colour of each of the first `count` images, (N, C)."""
        rows = slice(len(self) if count is None else count).indices(len(self))
        parts = chunks(range(*rows))
        return torch.cat([colours_of(self.batch(part)) for part in parts])

    def mean_rows(self) -> Sequence[int]:
        """Return the rows of the images that `mean_image` averages."""
        return even_rows(len(self), MOST).tolist()

    def mean_image(self) -> Tensor:
        """Return the mean of all images, (C, H, W), in [-1, 1].

        With more than 4096 images, it averages 4096 of them, evenly spaced: its error is then
        1/64 of a pixel's standard deviation over the set, less than two grey levels of 255. Each
        value is averaged over the images where it was observed; one that never was has the mean of
        its channel.
        """
        parts = (self.batch(part) for part in chunks(self.mean_rows()))
        return mean_of(sums_of(parts, (self.channels, *sides(self.image_size))))


def colours_of(batch: Batch) -> Tensor:
    """Return the mean observed colour of each image, (B, C).

    A channel of which nothing was observed has the mean of the image's others.
    """
    mask = batch.observed
    if mask is None:
        return batch.images.mean((2, 3))
    sums, counts = (batch.images * mask).sum((2, 3)), mask.sum((2, 3))
    others = sums.sum(1, keepdim=True) / counts.sum(1, keepdim=True)
    return torch.where(counts > 0, sums / counts.clamp(min=1), others)


def sums_of(batches: Iterable[Batch], shape: tuple[int, int, int]) -> Tensor:
    """Return sums of observed values, and of how often each was, float64 (2, C, H, W).

    Arguments:
        shape: channels, height and width
    """
    sums = torch.zeros(2, *shape, dtype=torch.float64)
    for batch in batches:
        mask = batch.observed
        images = batch.images if mask is None else batch.images * mask
        sums[0] += images.sum(0, dtype=torch.float64).cpu()
        sums[1] += len(images) if mask is None else mask.sum(0, dtype=torch.float64).cpu()
    return sums


def mean_of(sums: Tensor) -> Tensor:
    """Return the mean image (C, H, W) of `sums_of` all batches."""
    total, counts = sums
    channels = total.sum((1, 2), keepdim=True) / counts.sum((1, 2), keepdim=True).clamp(min=1)
    return torch.where(counts > 0, total / counts.clamp(min=1), channels).float()


@dataclass(frozen=True)
class BatchOrder:
    """Every example once per epoch, in an order that depends only on (seed, epoch).

    A batch of the whole set keeps the set's order. The last batch of an epoch may be smaller.

    Arguments:
        count: examples in the set, >= 1
        batch_size: examples in a batch, >= 1
        seed: seed for the order, >= 0
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
        """Number of examples in one pass, the unit of gradient evaluations: the whole set."""
        return self.count

    def size(self, iteration: int) -> int:
        """Return the number of examples in an iteration's batch, in all processes."""
        number = iteration % self.batches
        return min(self.batch_size, self.count - number * self.batch_size)

    def index(self, iteration: int) -> Tensor:
        """Return the rows (B,) of the batch of this iteration (0, 1, ...)."""
        if self.batches == 1:
            return torch.arange(self.count)
        epoch, number = divmod(iteration, self.batches)
        rows = _permutation(self.count, self.seed, epoch)
        return rows[number * self.batch_size : (number + 1) * self.batch_size]

    def read(self, images: ImageData, iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, with the device and type of `like`."""
        index = self.index(iteration)
        batch = images.batch(images.ownership.owned(index)).to(like)
        return batch._replace(total=len(index), among=self.count)


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=make_rng("order", seed, epoch))


def even_rows(count: int, most: int) -> Tensor:
    """Return the rows (N,) of `count` images; if more than `most`, `most` evenly spaced ones."""
    return torch.arange(min(count, most)) * count // min(count, most)


def chunks(rows: Sequence[int], size: int = 1024) -> list[Tensor]:
    """Split rows into tensors of at most `size`."""
    return list(torch.tensor(rows, dtype=torch.long).split(size))
