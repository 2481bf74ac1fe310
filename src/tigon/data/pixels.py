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


def to_float(pixels: np.ndarray) -> Tensor:
    """Map uint8 (B, H, W, C) to float32 (B, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2) / 127.5 - 1


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


def enlarged(images: Tensor, size: Sequence[int], mode: Interpolation = "bilinear") -> Tensor:
    """Interpolate images (B, C, h, w) to this height and width; a 1x1 image is repeated."""
    require_choice("mode", mode, Interpolation)
    if images.shape[2:] == (1, 1):
        return images.expand(-1, -1, *size)
    if images.shape[2:] == tuple(size):
        return images
    corners = False if mode == "bilinear" else None
    return functional.interpolate(images, tuple(size), mode=mode, align_corners=corners)
