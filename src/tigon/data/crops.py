"""Crops of one picture, as a set of images to learn a texture from.

Their places are drawn once, the same in every run on a picture of this size. Crops overlap, so
none can be held out on its own: those that are not learned from lie in a strip at the end of the
longer side, which the others do not touch.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tigon.data.form import LARGEST, MAX_PIXELS, SMALLEST
from tigon.data.formats import formats
from tigon.data.images import ImageSet
from tigon.data.lazy_rows import LazyRows
from tigon.data.load import load_images
from tigon.data.metadata import TURNS, orientation
from tigon.data.mirrored import mirrored
from tigon.data.sources import is_named, is_pattern
from tigon.errors import TigonError
from tigon.files import printable
from tigon.random.streams import make_rng
from tigon.sizes import ImageSize, image_size, sides, size_text

COUNT, SHARE = 640, 0.2  # crops; share of the longer side, and of the crops, that is held out
ROOM = 4  # crops side by side that a picture has room for if some of it is held out by default
USUAL, TURNED = 64, [turn for turn in TURNS if turn > 4]


def picture_size(data: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the height and width of a picture file as it is shown, in pixels.

    Raises:
        TigonError: if it is anything else than one picture, cannot be read, or is too large
    """
    text = os.fspath(data)
    said = printable(text)
    if is_named(text) or is_pattern(text) or Path(text).is_dir() or text.endswith(".npz"):
        raise TigonError(
            f"data '{said}': a texture is learned from one picture; give a file such as .png"
        )
    try:
        with Image.open(text, formats=formats()) as picture:
            turned = orientation(picture) in TURNED and picture.format != "TIFF"  # it is, of those
            width, height = picture.size[::-1] if turned else picture.size
    except Exception as error:  # decoders of broken files raise anything
        load_images(text)  # says what is wrong with it
        raise TigonError(f"data '{said}': its size cannot be read ({error})") from error
    if max(height, width) > LARGEST or min(height, width) < SMALLEST:
        raise TigonError(
            f"data '{said}': is {height}x{width}; the sides of a texture's picture are "
            f"{SMALLEST} to {LARGEST} pixels"
        )
    return height, width


def crop_size(data: str | os.PathLike[str], multiple: int) -> int:
    """Return the side of the crops to learn a picture's texture from: 64, or half of the picture.

    Arguments:
        data: the picture
        multiple: of this number of pixels
    """
    half = min(picture_size(data)) // 2
    return max(multiple, min(USUAL, half // multiple * multiple))


def load_crops(
    data: str | os.PathLike[str],
    size: ImageSize = USUAL,
    channels: int = 3,
    mirror: bool = False,
    held_out: float | None = None,
    max_pixels: int = MAX_PIXELS,
) -> ImageSet:
    """Return crops of a picture, from places drawn at random; its `held_out` are from elsewhere.

    Arguments:
        data: a picture file
        size: height and width of the crops, in pixels; no picture is enlarged or reduced
        channels: 3 (RGB) or 1 (grey)
        mirror: whether a mirrored copy of every crop follows the crops
        held_out: share of the picture's longer side, and of the crops, in [0, 1), that is not
            learned from; by default a fifth, or one crop, of pictures that are four crops long
        max_pixels: largest picture to read, >= 1
    Raises:
        TigonError: if it is not one picture, or smaller than the crops
    """
    area = picture_size(data)
    height, width = sides(size)
    if height > area[0] or width > area[1]:
        raise TigonError(
            f"data '{printable(os.fspath(data))}': is {size_text(image_size(*area))}, smaller "
            f"than the crops of {size_text(size)}; lower --image-size, or give a larger picture"
        )
    picture = load_images(data, image_size(*area), "stretch", channels, max_pixels=max_pixels)
    along = int(area[1] >= area[0])  # the axis of the longer side
    side, crop = area[along], (height, width)[along]
    share = _share(side, crop, held_out)
    end = side - max(crop, round(share * side)) if share else side
    unseen = round(share * COUNT)
    lows, highs = np.zeros(2, int), np.array([area[0] - height, area[1] - width])
    before, after = highs.copy(), lows.copy()
    before[along], after[along] = end - crop, end
    held = _drawn(picture, "held out", unseen, (height, width), after, highs) if unseen else None
    places = "learned from", COUNT - unseen, (height, width), lows, before
    found = _drawn(picture, *places, held_out=held)
    return mirrored(found) if mirror else found


def _share(side: int, crop: int, given: float | None) -> float:
    """Return the share to hold out of a side of so many pixels.

    Raises:
        TigonError: if there is no room for a crop in that share, or in the rest
    """
    if given is None:
        least = math.ceil(COUNT * crop / side) / COUNT
        return max(SHARE, least) if side >= ROOM * crop else 0.0
    strip = round(given * side)
    if given and not crop - 1 <= strip <= side - crop:
        raise TigonError(
            f"--held-out {given:g}: of {side} pixels this holds out {strip}, and leaves "
            f"{side - strip} to learn from; both must have room for a crop of {crop}"
        )
    return given


def _drawn(
    picture: ImageSet,
    what: str,
    count: int,
    size: tuple[int, int],
    lows: np.ndarray,
    highs: np.ndarray,
    held_out: ImageSet | None = None,
) -> ImageSet:
    """Return crops at places between these, (2,) each, both included; names say where."""
    rng = make_rng("crops", what, *picture.pixels.shape[1:3], *size)
    ranges = torch.from_numpy(highs - lows + 1)
    places = lows + (torch.rand((count, 2), generator=rng) * ranges).long().numpy()
    names = [f"{picture.names[0]}[{top},{left}]" for top, left in places.tolist()]
    return ImageSet(
        Crops(picture.pixels[0], places, size),  # type: ignore[arg-type]
        names,
        picture.skipped,
        notes=picture.notes,
        held_out=held_out,
    )


class Crops(LazyRows):
    """Crops (N, h, w, C) of one picture, cut when they are read.

    Arguments:
        picture: uint8 (H, W, C)
        places: rows and columns of their upper left pixels, (N, 2)
        size: height and width of each
    """

    def __init__(self, picture: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> None:
        super().__init__((len(places), *size, picture.shape[2]), picture.dtype)
        self.picture, self.places, self.size = picture, places, size

    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,)."""
        found = np.arange(len(self))[rows]
        if found.ndim == 0:
            return self._crop(int(found))
        crops = [self._crop(row) for row in found.tolist()]
        return np.array(crops, self.dtype).reshape(len(found), *self.shape[1:])

    def _crop(self, row: int) -> np.ndarray:
        top, left = self.places[row]
        return self.picture[top : top + self.size[0], left : left + self.size[1]]
