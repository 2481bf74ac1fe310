"""Binary messages: the length of a JSON header, the header, and arrays.

Pictures go as raw RGBA: for 64 x 64 pixels that is 16 kB, which a browser draws as it is, while a
PNG has to be encoded here and decoded there.
"""

import json
import struct
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tigon.data.pixels import to_uint8

KINDS = ("uint8", "float32")


def pack(header: dict[str, Any], **arrays: np.ndarray) -> bytes:
    """Return a message: `header`, and arrays of uint8 or float32 under their names.

    The first four bytes are the length of the JSON, little-endian; it lists each array's name,
    type and shape, in the order in which they follow.
    """
    described = [[name, str(values.dtype), list(values.shape)] for name, values in arrays.items()]
    if any(kind not in KINDS for _, kind, _ in described):
        raise ValueError(f"arrays are of {' or '.join(KINDS)}, not {described}")
    text = json.dumps(header | {"arrays": described}, allow_nan=False).encode()
    parts = [np.ascontiguousarray(values).tobytes() for values in arrays.values()]
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def unpack(message: bytes) -> tuple[Any, bytes]:
    """Return the header of a message, and the bytes after it.

    Raises:
        ValueError: if it is not such a message
    """
    if len(message) < 4:
        raise ValueError("a binary message must begin with the length of its header")
    end = 4 + struct.unpack("<I", message[:4])[0]
    if end > len(message):
        raise ValueError("a binary message is as long as its header says, and longer")
    return message[4:end], message[end:]


def rgba(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 (B, H, W, 1 or 3) as opaque RGBA, (B, H, W, 4)."""
    colours = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
    opaque = np.full((*pixels.shape[:3], 1), 255, np.uint8)
    return np.concatenate([colours, opaque], -1)


def pictures(images: Tensor) -> np.ndarray:
    """Return images (B, C, H, W) in [-1, 1] as RGBA, uint8 (B, H, W, 4).

    Raises:
        TigonError: if a value is not finite
    """
    return rgba(to_uint8(images))


def shades(values: Tensor) -> np.ndarray:
    """Return values (B, H, W) from 0 (black) to 1 (white) as RGBA, uint8 (B, H, W, 4)."""
    grey = (255 * values.clamp(0, 1)).round().to("cpu", torch.uint8)
    return rgba(grey[..., None].numpy())


def thumbnails(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return uint8 (B, H, W, C) as RGBA of at most `side` pixels a side, (B, h, w, 4)."""
    full = rgba(pixels)
    height, width = full.shape[1:3]
    if max(height, width) <= side:
        return full
    size = tuple(max(1, round(side * own / max(height, width))) for own in (width, height))
    small = [Image.fromarray(one).resize(size, Image.Resampling.BOX) for one in full]
    return np.stack([np.asarray(one) for one in small])
