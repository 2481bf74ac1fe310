"""Masks: which values of images were observed.

A mask is a picture of the size of the images that are learned from: white where values were
observed, black or transparent where they are missing. Or it is the transparency of the images
themselves. What is behind a missing value is hidden: mid-grey is in its place everywhere.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from tigon.data.cache import release
from tigon.data.images import ImageSet
from tigon.data.lazy_rows import LazyRows
from tigon.data.notes import percent
from tigon.data.pixels import MISSING
from tigon.distributed import ShardOwnership
from tigon.errors import TigonError
from tigon.files import printable
from tigon.sizes import sides, size_text

ALPHA = "alpha"  # instead of a path: what is transparent is missing
CHUNK = 256  # masks that are in memory at once
Set = TypeVar("Set", bound=ImageSet)


def with_masks(images: Set, mask: str) -> Set:
    """Return images with their masks, and with their missing values hidden.

    Arguments:
        images: of a `Form` with alpha, if `mask` is `alpha`
        mask: `alpha`; or a picture for all images, or a folder with one for each, of the same name
    Raises:
        TigonError: if a mask cannot be read, is missing, has another size, or keeps nothing, or
            nothing is transparent
    """
    if mask == ALPHA:
        return _transparent(images)
    if not mask:
        raise TigonError("--mask: is empty; give a picture, a folder, or alpha")
    if isinstance(images.ownership, ShardOwnership):
        raise TigonError(
            f"--mask {printable(mask)}: a process knows no names of the images in others' shards; "
            "make what is missing transparent, and give --mask alpha"
        )
    masks = read_masks(Path(mask), list(images.names), sides(images.image_size))
    if masks.all():
        return images
    said = f"{percent(1 - masks.mean() / 255)} of the values of {len(images)} images are missing"
    return replace(
        images,
        pixels=HiddenRows(images.pixels, masks),  # type: ignore[arg-type]
        masks=masks,
        notes=[*images.notes, f"{said} (--mask {printable(mask)})"],
        known=None,
        file=None,
    )


def _transparent(images: Set) -> Set:
    """Return images that have the masks of their transparency, if anything is transparent."""
    masks = images.masks
    assert masks is not None
    parts = (slice(first, first + CHUNK) for first in range(0, len(masks), CHUNK))
    sharded = isinstance(images.ownership, ShardOwnership)  # others' rows cannot be looked at
    if not sharded and all((masks[part] > 0).all() for part in parts):
        raise TigonError("--mask alpha: no image has anything transparent; leave it out")
    return images


class HiddenRows(LazyRows):
    """Images (N, H, W, C) with mid-grey in the place of missing values, read on demand.

    Arguments:
        whole: the images
        masks: not 0 where values were observed, (N, H, W)
    """

    def __init__(self, whole: np.ndarray, masks: np.ndarray) -> None:
        super().__init__(whole.shape, whole.dtype)
        self.whole, self.masks = whole, masks

    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,)."""
        found = np.where(self.masks[rows][..., None] > 0, self.whole[rows], MISSING)
        release(self.whole)
        return found


def read_masks(path: Path, names: Sequence[str], size: tuple[int, int]) -> np.ndarray:
    """Return a mask for each image, uint8 (N, H, W): 255 where it is white, 0 elsewhere.

    Arguments:
        path: a picture, or a folder with one for each image, of the same name without its ending
        names: of the images
        size: height and width of the model's images
    Raises:
        TigonError: if a mask cannot be read, is missing, has another size, or keeps nothing
    """
    if not path.is_dir():
        return np.broadcast_to(_mask(path, size), (len(names), *size))
    found: dict[str, Path] = {}
    for file in sorted(file for file in path.rglob("*") if _key(file.name) != file.name):
        key = _key(file.relative_to(path).as_posix())
        if key in found:
            raise TigonError(f"--mask {path}: {found[key].name} and {file.name} are one image's")
        found[key] = file
    missing = [name for name in names if _key(name) not in found]
    if missing:
        raise TigonError(
            f"--mask {path}: has no mask for {missing[0]}; it must have a picture of the same "
            "name for every image"
        )
    return np.stack([_mask(found[_key(name)], size) for name in names])


def _key(name: str) -> str:
    """Return a picture's name without its ending; another name as it is."""
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in Image.registered_extensions() else name


def _mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if (height, width) != size:
                raise TigonError(
                    f"--mask {path}: is {size_text((height, width))}, but the model's images are "
                    f"{size_text(size)}; a mask has their size"
                )
            whole = picture.convert("RGBA")  # what is transparent is not kept
            black = Image.new("RGBA", whole.size, "black")
            grey = np.asarray(Image.alpha_composite(black, whole).convert("L"))
    except FileNotFoundError as error:
        raise TigonError(
            f"--mask {path}: cannot be found; give a picture, a folder of them, or alpha"
        ) from error
    except TigonError:
        raise
    except Exception as error:  # decoders of broken files raise anything
        raise TigonError(f"--mask {path}: cannot be read as a picture ({error})") from error
    if not (grey > 127).any():
        raise TigonError(f"--mask {path}: keeps nothing: it must be white where values are kept")
    return np.where(grey > 127, np.uint8(255), np.uint8(0))
