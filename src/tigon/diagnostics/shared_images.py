"""Which images two sets share: what a model has learned from says nothing about what is new."""

import torch
from torch import Tensor

from tigon.data.batches import ImageData, chunks
from tigon.errors import TigonError
from tigon.random.streams import make_rng

SAME = 1e-3  # norm of the difference of two copies, at most
ROUNDING = 1e-6  # of projections, in single precision, over the norm of a white image
ENOUGH = 0.25  # share of an image's values that says whether another is the same
PART = 1000  # images that are compared at once


def nearest_of(images: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row of the nearest of `others` for each image, (B,), and whether it is a copy.

    Arguments:
        images: (B, C, H, W)
        others: (N, C, H, W)
    """
    nearest = torch.cdist(images.flatten(1), others.flatten(1)).argmin(1)
    # In single precision, cdist gives copies a distance: it is taken again of the nearest alone.
    return nearest, (images - others[nearest]).flatten(1).norm(dim=1) < SAME


def shared_with(images: Tensor, others: ImageData) -> Tensor:
    """Return whether each image (B, C, H, W) is among `others`, (B,), which are read in parts.

    Copies have the same projection onto any direction: whole images are compared where it agrees.
    Of others of which at least a quarter was observed, the observed values are compared: fewer may
    agree by chance.
    """
    found = torch.zeros(len(images), dtype=torch.bool)
    direction = torch.randn(images[:1].numel(), generator=make_rng("direction", 0))
    direction /= direction.norm()
    for rows in chunks(range(len(others)), PART):
        batch = others.batch(rows)
        found |= _shared(images, batch.images, direction)
        if batch.observed is not None:
            enough = batch.observed.flatten(1).mean(1) >= ENOUGH
            if enough.any():
                some = batch.images[enough], batch.observed[enough]
                found |= _shared_observed(images, *some)
    return found


def _shared(images: Tensor, others: Tensor, direction: Tensor) -> Tensor:
    """Return whether each image (B, C, H, W) is among `others` (N, C, H, W)."""
    own, theirs = (x.flatten(1) @ direction for x in (images, others))
    near = (own[:, None] - theirs).abs() < SAME + ROUNDING * len(direction) ** 0.5
    found = torch.zeros(len(images), dtype=torch.bool)
    for row in near.any(1).nonzero()[:, 0].tolist():
        candidates = others[near[row]]
        found[row] = ((candidates - images[row]).flatten(1).norm(dim=1) < SAME).any()
    return found


def _shared_observed(images: Tensor, others: Tensor, mask: Tensor) -> Tensor:
    """Return whether the observed values of one of `others` (N, C, H, W) are those of an image."""
    x, mask = images.flatten(1), mask.flatten(1)
    y = others.flatten(1) * mask
    squares = x.square() @ mask.T - 2 * x @ y.T + y.square().sum(1)
    nearest = squares.argmin(1)
    return (x * mask[nearest] - y[nearest]).norm(dim=1) < SAME


def require_unseen(shared: Tensor, whose: str, kind: str) -> None:
    """Refuse images that are to be new, if some are training images.

    Arguments:
        shared: whether each is a training image, (B,)
        whose: the verb or option that needs them
        kind: what they are, such as held-out
    Raises:
        TigonError: if some are; it says how many
    """
    if shared.any():
        raise TigonError(
            f"{whose}: {int(shared.sum())} of {len(shared)} {kind} images are training images; "
            "give images that the model has not learned from"
        )
