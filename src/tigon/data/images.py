"""ImageSet: the images of a data set as one memory-mapped uint8 array."""

import hashlib
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData
from tigon.data.cache import Known, known_fingerprint, pixels_fingerprint
from tigon.data.checks import require_bytes
from tigon.data.pixels import to_float, to_mask
from tigon.errors import TigonError
from tigon.files import FileRows
from tigon.sizes import ImageSize, image_size


@dataclass(frozen=True)
class ImageSet(ImageData):
    """Images of one size: `pixels` uint8 (N, H, W, C), a name for each, and what was left out.

    `skipped` has one line for each file that could not be read: its name and why. `known` are the
    hashes that the cache recorded, and `file` is the file that `pixels` is mapped from: batches
    are read from it, so that their time and memory do not depend on the number of images.
    `labels`, integers (N,), if any, are the batches' conditions, and `classes` their names by
    number. `masks`, if any, are not 0 where values were observed, (N, H, W), and pixels are
    mid-grey elsewhere. `notes` are lines that say what was passed over and what was converted.
    `held_out` are images of the same data that are not learned from, if any.

    Raises:
        TigonError: if pixels are anything else; it says which call converts them
    """

    pixels: np.ndarray
    names: Sequence[str]
    skipped: list[str]
    known: Known | None = None
    file: FileIO | None = field(default=None, repr=False, compare=False)
    labels: np.ndarray | None = field(default=None, repr=False, compare=False)
    classes: tuple[str, ...] = ()
    notes: Sequence[str] = ()
    held_out: "ImageSet | None" = field(default=None, repr=False, compare=False)
    masks: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_bytes(self.pixels, "pixels of an ImageSet")
        every = ("names", self.names), ("labels", self.labels), ("masks", self.masks)
        for what, rows in every:
            if rows is not None and len(rows) != len(self.pixels):
                raise TigonError(
                    f"{len(rows)} {what} for {len(self.pixels)} images: give one for each"
                )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def image_size(self) -> ImageSize:
        """Height and width in pixels; one number for a square."""
        return image_size(*self.pixels.shape[1:3])

    @property
    def channels(self) -> int:
        """Number of channels: 3 or 1."""
        return self.pixels.shape[3]

    def name(self, row: int) -> str:
        """Return the name of one image."""
        return self.names[row]

    def batch(self, index: Tensor) -> Batch:
        """Return the images of rows (B,), with their masks, and their labels as condition."""
        rows, labels = index.cpu().numpy(), None
        if self.labels is not None:
            labels = torch.from_numpy(np.array(self.labels[rows], np.int64))
        masks = None if self.masks is None else to_mask(self.masks[rows])
        return Batch(self.read(index), index, masks, labels)

    @property
    def incomplete(self) -> bool:
        """Whether values are missing."""
        return self.masks is not None

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images by rows (B,) or a slice, as floats in [-1, 1], (B, C, H, W)."""
        if isinstance(index, slice):
            return to_float(self.pixels[index])
        if self._rows is None:
            return to_float(self.pixels[index.cpu().numpy()])
        found = np.frombuffer(self._rows.read(index.tolist()), np.uint8)
        return to_float(found.reshape(len(index), *self.pixels.shape[1:]))

    @cached_property
    def _rows(self) -> FileRows | None:
        """The images in the file that they are mapped from, if there is one."""
        if self.file is None or not isinstance(self.pixels.base, mmap.mmap):
            return None  # an array, or a part of the file
        count, size = len(self), self.pixels[0].nbytes
        start = self.pixels.offset
        return FileRows(self.file.fileno(), start, size, count)

    def fingerprint(self) -> str:
        """Return a hash of the names, the form and a few thousand of the images."""
        return self._fingerprint

    def content(self) -> str:
        """Return a hash of the form and a few thousand of the images, whatever their names."""
        return self._content

    @cached_property
    def _content(self) -> str:
        return self._with_masks(pixels_fingerprint(self.pixels))

    def _with_masks(self, found: str) -> str:
        """Return a hash that also covers the masks, if there are any."""
        if self.masks is None:
            return found
        return hashlib.sha256(f"{found} {pixels_fingerprint(self.masks)}".encode()).hexdigest()[
            :16
        ]

    @cached_property
    def _fingerprint(self) -> str:
        """The hash: as recorded in the cache, if the pixels have not changed since."""
        return self._with_masks(known_fingerprint(self.known, self.names, self.pixels))
