"""Pixels: one picture of any depth, size and mode to uint8, and uint8 to floats and back.

On disk images are uint8 (N, H, W, C); in models they are float (B, C, H, W) in [-1, 1], channels
last in memory. No image is ever scaled by its own minimum and maximum.
"""

from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tigon.errors import TigonError
from tigon.sizes import ImageSize, sides

Fit = Literal["stretch", "crop"]


def to_float(pixels: np.ndarray) -> Tensor:
    """Map uint8 (B, H, W, C) to float32 (B, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2) / 127.5 - 1


def to_uint8(images: Tensor) -> np.ndarray:
    """Map floats (B, C, H, W) to uint8 (B, H, W, C); what is outside [-1, 1] is clipped.

    `saturation` says how much that was.

    Raises:
        TigonError: if a value is not finite
    """
    if not torch.isfinite(images).all():
        raise TigonError("the images are not finite numbers: the model or its chains diverged")
    scaled = ((images.detach() + 1) * 127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to("cpu", torch.uint8).contiguous().numpy()


def saturation(images: Tensor, margin: float = 0.1) -> Tensor:
    """Return the fraction of values outside [-1, 1] by more than `margin`."""
    return saturations(images, margin).mean()


def saturations(images: Tensor, margin: float = 0.1) -> Tensor:
    """Return the same for each image of (B, *), (B,)."""
    return (images.detach().flatten(1).abs() > 1 + margin).to(images.dtype).mean(1)


def picture_to_uint8(picture: Image.Image, size: ImageSize, fit: Fit, channels: int) -> np.ndarray:
    """Convert a picture to uint8 (H, W, C).

    Arguments:
        picture: of any mode; the camera's rotation is applied, transparency shows white
        size: height and width in pixels; one number for a square
        fit: `stretch` to this size, or `crop` the centre
        channels: 3 (RGB) or 1 (grey)
    """
    height, width = sides(size)
    picture = _to_rgb(ImageOps.exif_transpose(picture))
    if fit == "crop":
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    elif picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    if channels == 1:
        picture = picture.convert("L")
    return np.asarray(picture, dtype=np.uint8).reshape(height, width, channels)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _deep_grey(np.asarray(picture))
    if picture.mode.endswith("A") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _deep_grey(values: np.ndarray) -> Image.Image:
    """Map a grey picture of more than 8 bits to 8: integers from 16 bits, floats from [0, 1]."""
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError("float pixels outside [0, 1]")
        return Image.fromarray((values * 255).round().astype(np.uint8))
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("integer pixels of more than 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
