"""Images that a run never learns from, so that its model can be measured on them.

All runs on a data set hold out the same images: the choice depends only on its size, so runs
with different seeds and settings can be compared on the same images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData
from tigon.data.cache import release
from tigon.data.images import ImageSet
from tigon.data.lazy_rows import LazyRows
from tigon.data.mirrored import MirroredSet, distinct, mirrored
from tigon.distributed import ShardOwnership
from tigon.errors import TigonError
from tigon.random.streams import make_rng

MANY = 50  # images from which on some are held out, and less is learned by heart
SHARE, MOST = 0.1, 1000  # default share, most held out


def hold_out(images: ImageSet, share: float | None = None) -> ImageSet:
    """Return the images to learn from; their `held_out` are the others, or None.

    Arguments:
        images: all images
        share: fraction to hold out, in [0, 1); 0 holds out none. By default a tenth, at most
            1000, if there are 50 images or more
    Raises:
        TigonError: if fewer than two images would be held out, or fewer than two left
    """
    if isinstance(images, MirroredSet):  # an image and its copy stay together
        return mirrored(hold_out(images.whole, share), images.why)
    count = len(images)
    shards = isinstance(images.ownership, ShardOwnership)
    if share is None and count >= MANY and not shards:
        share, number = SHARE, min(round(SHARE * count), MOST)
    else:
        share = share or 0.0
        number = round(share * count)
    if not share:
        return images
    if shards:
        raise TigonError(
            f"--held-out {share:g}: no images of shards can be held out, as processes share them; "
            "keep images for `tigon evaluate` in a folder of their own"
        )
    if number < 2 or count - number < 2:
        raise TigonError(
            f"--held-out {share:g}: of {count} images this holds out {number}, and leaves "
            f"{count - number} to learn from; both must be at least 2"
        )
    order = torch.randperm(count, generator=make_rng("held out", count)).numpy()
    chosen, others = np.sort(order[:number]), np.sort(order[number:])
    return taken(images, others, taken(images, chosen))


def share_of(images: ImageData) -> float:
    """Return the share held out next to these images, as `hold_out` takes it."""
    if images.held_out is None:
        return 0.0
    number = len(images.held_out)
    count = distinct(images) + number
    return SHARE if number == round(SHARE * count) else number / count


def taken(images: ImageSet, rows: np.ndarray, held_out: ImageSet | None = None) -> "TakenSet":
    """Return these rows (R,) of a set, read on demand; `held_out` are those not learned from."""
    return TakenSet(
        TakenRows(images.pixels, rows),  # type: ignore[arg-type]
        TakenNames(images.names, rows),
        images.skipped,
        labels=None if images.labels is None else np.asarray(images.labels)[rows],
        classes=images.classes,
        notes=images.notes,
        whole=images,
        rows=rows,
        held_out=held_out,
        masks=None if images.masks is None else TakenRows(images.masks, rows),  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class TakenSet(ImageSet):
    """Some images of a set, read on demand.

    Arguments:
        whole: the set
        rows: their rows in it, in increasing order
    """

    whole: ImageSet = field(kw_only=True)
    rows: np.ndarray = field(kw_only=True)

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images by rows (B,) or a slice, as floats in [-1, 1], (B, C, H, W)."""
        taken = self.rows[index if isinstance(index, slice) else index.cpu().numpy()]
        return self.whole.read(torch.from_numpy(taken))

    def batch(self, index: Tensor) -> Batch:
        """Return the images of rows (B,), with mask and condition if there are any."""
        taken = torch.from_numpy(self.rows[index.cpu().numpy()])
        return self.whole.batch(taken)._replace(index=index)


class TakenRows(LazyRows):
    """Some rows of an array (N, *), read on demand.

    Arguments:
        whole: the array
        rows: their numbers in it, (R,)
    """

    def __init__(self, whole: np.ndarray, rows: np.ndarray) -> None:
        super().__init__((len(rows), *whole.shape[1:]), whole.dtype)
        self.whole, self.rows = whole, rows

    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,)."""
        found = np.array(self.whole[self.rows[rows]])
        release(self.whole)
        return found


class TakenNames(Sequence[str]):
    """Some of the names of a set, read on demand."""

    def __init__(self, whole: Sequence[str], rows: np.ndarray) -> None:
        self.whole, self.rows = whole, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return (self.whole[row] for row in self.rows.tolist())

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401
        """Return one name, or a list of names for a slice."""
        if isinstance(index, slice):
            return [self.whole[row] for row in self.rows[index].tolist()]
        return self.whole[int(self.rows[index])]
