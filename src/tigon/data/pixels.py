"""Convert pixels from uint8 to floats and back.

On disk images are uint8 (N, H, W, C); in models they are float (B, C, H, W) in [-1, 1], channels
last in memory. No image is ever scaled by its own minimum and maximum.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tigon.choices import require_choice
from tigon.data.checks import require_drawn
from tigon.errors import TigonError

Fit = Literal["stretch", "crop"]
Interpolation = Literal["bilinear", "nearest"]
MISSING = np.uint8(127)  # in the place of a value that was not observed: mid-grey


def to_float(pixels: np.ndarray) -> Tensor:
    """Map uint8 (B, H, W, C) to float32 (B, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2) / 127.5 - 1


def to_mask(masks: np.ndarray) -> Tensor:
    """Map masks (B, H, W) to float32 (B, 1, H, W): 1 where they are not 0."""
    return torch.from_numpy(np.asarray(masks) > 0).unsqueeze(1).float()


def to_uint8(images: Tensor) -> np.ndarray:
    """Map floats (B, C, H, W) to uint8 (B, H, W, C); values outside [-1, 1] are clipped.

    `saturation` returns how many those are.

    Raises:
        TigonError: if they are scaled from 0 to 1 or 255, or a value is not finite
    """
    require_drawn(images, "images")
    if not torch.isfinite(images).all():
        raise TigonError("the images are not finite numbers: the model or its chains diverged")
    scaled = ((images.detach() + 1) * 127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to("cpu", torch.uint8).contiguous().numpy()


def saturation(images: Tensor, margin: float = 0.1) -> Tensor:
    """Return the fraction of values outside [-1, 1] by more than `margin`."""
    return saturations(images, margin).mean()


def saturations(images: Tensor, margin: float = 0.1) -> Tensor:
    """Return that fraction for each image of (B, *), as (B,)."""
    return (images.detach().flatten(1).abs() > 1 + margin).to(images.dtype).mean(1)


def reduced(images: Tensor, size: Sequence[int]) -> Tensor:
    """Average images (B, C, H, W) down to (B, C, h, w); h and w must divide H and W."""
    blocks = images.shape[2] // size[0], images.shape[3] // size[1]
    return images if blocks == (1, 1) else functional.avg_pool2d(images, blocks)


def reduced_observed(
    images: Tensor, mask: Tensor, size: Sequence[int], least: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Average the observed values of images down to (B, C, h, w); return where there are any, too.

    Arguments:
        images: (B, C, H, W); h and w must divide H and W
        mask: 1 where a value was observed and 0 elsewhere, (B, 1 or C, H, W)
        least: share of the values averaged that must be observed for an average to count as it
    Returns:
        averages, 0 where none was observed, and a mask, (B, 1 or C, h, w)
    """
    share = reduced(mask, size)
    found = reduced(images * mask, size) / torch.where(share > 0, share, 1)
    counts = (share > 0) & (share >= least)
    return torch.where(counts, found, 0), counts.to(mask)


def mean_observed(values: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean over the observed values of each row of (B, *), (B,).

    Arguments:
        mask: 1 where a value was observed and 0 elsewhere, broadcastable to the values; at least
            one in each row; None if all were
    """
    if mask is None:
        return values.flatten(1).mean(1)
    counts = mask.expand_as(values).flatten(1).sum(1)
    return (values * mask).flatten(1).sum(1) / counts


def enlarged(images: Tensor, size: Sequence[int], mode: Interpolation = "bilinear") -> Tensor:
    """Interpolate images (B, C, h, w) to this height and width; a 1x1 image is repeated."""
    require_choice("mode", mode, Interpolation)
    if images.shape[2:] == (1, 1):
        return images.expand(-1, -1, *size)
    if images.shape[2:] == tuple(size):
        return images
    corners = False if mode == "bilinear" else None
    return functional.interpolate(images, tuple(size), mode=mode, align_corners=corners)
