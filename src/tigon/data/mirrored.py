"""Mirrored copies of images, which double a small data set where left and right do not matter.

Whether they do can be seen: where mirrored images are as likely as others, the image that is most
like another one is a mirrored copy as often as not. Of handwritten digits it seldom is.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData, even_rows
from tigon.data.cache import release
from tigon.data.images import ImageSet
from tigon.data.lazy_rows import LazyRows
from tigon.data.pixels import reduced
from tigon.data.shards import shared_colours, shared_mean
from tigon.distributed import Ownership, ShardOwnership
from tigon.sizes import averaged_size, sides

FEWEST, MOST = 50, 5000  # images between which mirrored copies are added if they are alike
ALIKE = 1 / 3  # share of images that must be most like a mirrored copy: of 1/2 where all are alike
LOOKED_AT = 1000  # images that are compared, at most


class Verdict(NamedTuple):
    """Whether mirrored copies belong to a data set, and why; empty if that was not looked at."""

    mirror: bool
    why: str


def mirrored(images: ImageSet, why: str = "") -> "MirroredSet":
    """Return the images, and after them a mirrored copy of each; those held out stay as they are.

    Arguments:
        why: the copies are added, in half a sentence

    Example:
        images = mirrored(load_images("photos"))  # as load_images("photos", mirror=True)
    """
    masks = None if images.masks is None else MirroredRows(images.masks)
    return MirroredSet(
        MirroredRows(images.pixels),  # type: ignore[arg-type]
        MirroredNames(images.names),
        images.skipped,
        labels=None if images.labels is None else MirroredRows(images.labels),  # type: ignore[arg-type]
        classes=images.classes,
        notes=images.notes,
        held_out=images.held_out,
        masks=masks,  # type: ignore[arg-type]
        whole=images,
        why=why,
    )


def distinct(images: ImageData) -> int:
    """Return the number of images without their mirrored copies."""
    return len(images.whole if isinstance(images, MirroredSet) else images)


def origins(images: ImageData, rows: Tensor) -> Tensor:
    """Return which image each of these rows (B,) is, or is the mirrored copy of, (B,)."""
    return rows % distinct(images)


def distinct_rows(images: ImageData, most: int) -> Tensor:
    """Return evenly spaced rows, at most `most`, and of an image and its mirrored copy only one.

    Both say the same where images are counted as independent ones. They are taken in turns.
    """
    found = even_rows(distinct(images), most)
    found[1::2] += len(images) - distinct(images)
    return found


def alike(images: ImageSet) -> float:
    """Return the share of images that are more like a mirrored copy of another than like one as
    it is, by the distance of their values; of at most 1000 of them.
    """
    size, rows = sides(averaged_size(images.image_size)), even_rows(len(images), LOOKED_AT)
    small = torch.cat([reduced(images.read(part), size) for part in rows.split(256)])
    plain, turned = small.flatten(1), small.flip(3).flatten(1)
    nearest = [
        torch.cdist(plain, others).fill_diagonal_(torch.inf).amin(1) for others in (plain, turned)
    ]
    return (nearest[1] < nearest[0]).float().mean().item()


def verdict(images: ImageSet) -> Verdict:
    """Return whether mirrored copies of these images are worth learning from, and why.

    They are for some hundreds or thousands of whole images: fewer are known by heart, and of more
    there is enough to learn. Images that processes share are not looked at.
    """
    looked_at = FEWEST <= len(images) <= MOST and not images.incomplete
    if not looked_at or isinstance(images.ownership, ShardOwnership):
        return Verdict(False, "")
    share = alike(images)
    said = f"{100 * share:.0f} % of images are most like a mirrored copy of another"
    return Verdict(share >= ALIKE, f"{said}; {100 * ALIKE:.0f} % are needed")


@dataclass(frozen=True)
class MirroredSet(ImageSet):
    """The images of a set, and after them a mirrored copy of each, made when it is read.

    Arguments:
        whole: the set
        why: the copies were added, in half a sentence; empty if that was asked for
    """

    whole: ImageSet = field(kw_only=True)
    why: str = field(kw_only=True, default="")

    def _split(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows (B,) in the set, and which of them are mirrored."""
        count = len(self.whole)
        return index % count, index >= count

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images by rows (B,) or a slice, as floats in [-1, 1], (B, C, H, W)."""
        if isinstance(index, slice):
            index = torch.arange(*index.indices(len(self)))
        rows, turned = self._split(index)
        return _turned(self.whole.read(rows), turned)

    def batch(self, index: Tensor) -> Batch:
        """Return the images of rows (B,), with mask and condition if there are any."""
        rows, turned = self._split(index)
        found = self.whole.batch(rows)
        mask = found.mask
        if mask is not None:
            mask = _turned(mask.expand(len(index), *mask.shape[1:]), turned)
        return found._replace(images=_turned(found.images, turned), index=index, mask=mask)

    @property
    def ownership(self) -> Ownership:
        """Which process owns which images and their chains."""
        own = self.whole.ownership
        if isinstance(own, ShardOwnership):
            counts, owners = (own.ends - own.starts).tolist(), own.owners.tolist()
            return ShardOwnership(2 * counts, 2 * owners)
        return own

    def mean_colours(self, count: int | None = None) -> Tensor:
        """Return the mean observed colour of each of the first `count` images, (N, C)."""
        if isinstance(self.ownership, ShardOwnership):
            return shared_colours(self, count)
        return super().mean_colours(count)

    def mean_image(self) -> Tensor:
        """Return the mean of all images, or of 4096 of them, (C, H, W), in [-1, 1]."""
        if isinstance(self.ownership, ShardOwnership):
            return shared_mean(self)
        return super().mean_image()

    def fingerprint(self) -> str:
        """Return a hash of the set, other than its own."""
        return _marked(self.whole.fingerprint())

    def content(self) -> str:
        """Return a hash of the set's images, whatever their names, other than its own."""
        return _marked(self.whole.content())


class MirroredRows(LazyRows):
    """Images or masks (N, H, W, *), and after them their mirrored copies, made when they are read.

    Labels (N,) are the same again.

    Arguments:
        whole: the array
    """

    def __init__(self, whole: np.ndarray) -> None:
        super().__init__((2 * len(whole), *whole.shape[1:]), whole.dtype)
        self.whole = whole

    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,)."""
        single = isinstance(rows, int | np.integer)
        index = np.arange(len(self))[[rows] if single else rows]
        found = np.array(self.whole[index % len(self.whole)])
        turned = index >= len(self.whole)
        if self.ndim > 1:
            found[turned] = found[turned][:, :, ::-1]
        release(self.whole)
        return found[0] if single else found


class MirroredNames(Sequence[str]):
    """The names of a set, and after them those of the mirrored copies."""

    def __init__(self, whole: Sequence[str]) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return 2 * len(self.whole)

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401
        """Return one name, or a list of names for a slice."""
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row, count = range(len(self))[index], len(self.whole)
        return self.whole[row] if row < count else f"{self.whole[row - count]} (mirrored)"


def _turned(values: Tensor, which: Tensor) -> Tensor:
    """Return images or masks (B, C, H, W), of which some rows (B,) are mirrored."""
    return torch.where(which[:, None, None, None].to(values.device), values.flip(3), values)


def _marked(found: str) -> str:
    return hashlib.sha256(f"{found} mirrored".encode()).hexdigest()[:16]
