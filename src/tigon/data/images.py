"""ImageSet: the images of a data set as one memory-mapped uint8 array."""

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import BatchOrder, Order
from tigon.data.cache import Known, cache_folder, cached, known_fingerprint
from tigon.data.pixels import Fit, to_float
from tigon.distributed import Ownership
from tigon.errors import TigonError
from tigon.files import FileRows

if TYPE_CHECKING:
    from tigon.data.pictures import Form

__all__ = ["ImageSet", "cache_folder", "load_images", "require_form"]
LARGEST = 8192
MOST = 4096  # images that means are taken of at most, where a set may be larger


@dataclass(frozen=True)
class ImageSet:
    """Images of one size: `pixels` uint8 (N, H, W, C), a name each, and what was left out.

    `skipped` has one line for each file that could not be read: its name and why. `known` is what
    the cache remembers of them, and `file` what it maps `pixels` from: batches are read from it,
    so that they take the same time and memory at any number of images.
    """

    pixels: np.ndarray
    names: Sequence[str]
    skipped: list[str]
    known: Known | None = None
    file: FileIO | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def streamed(self) -> bool:
        """Whether these are but the first images of a stream, to which no row can go back."""
        return False

    @property
    def ownership(self) -> Ownership:
        """Which process owns which images, and their chains."""
        return Ownership()

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """Channels of an image: 3 or 1."""
        return self.pixels.shape[3]

    def name(self, row: int) -> str:
        """Return the name of one image."""
        return self.names[row]

    def order(self, batch_size: int, seed: int) -> Order:
        """Return the order in which batches are taken."""
        return BatchOrder(len(self), batch_size, seed)

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images as floats in [-1, 1], (B, C, H, W), by rows (B,) or by a slice."""
        if isinstance(index, slice):
            return to_float(self.pixels[index])
        if self._rows is None:
            return to_float(self.pixels[index.cpu().numpy()])
        found = np.frombuffer(self._rows.read(index.tolist()), np.uint8)
        return to_float(found.reshape(len(index), *self.pixels.shape[1:]))

    @cached_property
    def _rows(self) -> FileRows | None:
        """The images in the file that they are mapped from, where there is one."""
        if self.file is None or not isinstance(self.pixels.base, mmap.mmap):
            return None  # an array, or a part of the file
        count, size = len(self), self.pixels[0].nbytes
        start = self.pixels.offset
        return FileRows(self.file.fileno(), start, size, count)

    def fingerprint(self) -> str:
        """Return a hash of the names, the form and some thousand of the images."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        """The hash: as the cache remembers it, if the pixels are what they were then."""
        return known_fingerprint(self.known, self.names, self.pixels)

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


def even_rows(count: int, most: int) -> Tensor:
    """Return the rows of `count` images, (N,); of more than `most`, so many at even distances."""
    return torch.arange(min(count, most)) * count // min(count, most)


def chunks(rows: Sequence[int], size: int = 1024) -> list[Tensor]:
    """Return rows as tensors of at most so many."""
    return list(torch.tensor(rows, dtype=torch.long).split(size))


def load_images(
    data: str | os.PathLike[str],
    image_size: int = 64,
    fit: Fit = "stretch",
    channels: int = 3,
    mirror: bool = False,
) -> ImageSet:
    """Load images of any depth, size and mode as squares of one size.

    Arguments:
        data: a folder (searched to its depths), a `.npz` with `images` (uint8, N H W C), one
            picture file, `hf:NAME` (see `data.hf`), `embedded:animal-faces`, or a pattern with *
            of which each match is a shard (see `data.shards`)
        image_size: height and width in pixels, >= 8
        fit: `stretch` each image to the square, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: whether to append a mirrored copy of every image
    Raises:
        TigonError: if there is nothing that can be read; it says what and why
    """
    from tigon.data.pictures import Form  # which takes Pillow
    from tigon.data.sources import is_pattern, open_source

    form = Form(image_size, fit, channels, mirror)
    require_form(form)
    if is_pattern(os.fspath(data)):
        from tigon.data.shards import load_shards  # which is made of image sets

        return load_shards(os.fspath(data), form)
    return ImageSet(*cached(open_source(os.fspath(data)), form))


def require_form(form: "Form") -> None:
    """Refuse sizes and channels that make no sense.

    Raises:
        TigonError: if they make none
    """
    if not 8 <= form.image_size <= LARGEST or form.channels not in (1, 3):
        raise TigonError(
            f"image size {form.image_size} and {form.channels} channels: images have at least 8 "
            f"pixels a side and at most {LARGEST}, and 1 or 3 channels"
        )
