"""Masks: pictures that are white where values of an image are kept."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tigon.errors import TigonError
from tigon.sizes import size_text


def read_masks(path: Path, names: list[str], size: tuple[int, int]) -> list[Tensor]:
    """Return a mask (H, W) for each image, 1 where it is white and 0 where it is black.

    Arguments:
        path: a picture, or a folder with one for each image, of the same name without its ending
        names: of the images
        size: height and width of the model's images
    Raises:
        TigonError: if a mask cannot be read, is missing, has another size, or keeps nothing
    """
    if not path.is_dir():
        return [_mask(path, size)] * len(names)
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
    return [_mask(found[_key(name)], size) for name in names]


def _key(name: str) -> str:
    """Return a picture's name without its ending; another name as it is."""
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in Image.registered_extensions() else name


def _mask(path: Path, size: tuple[int, int]) -> Tensor:
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
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise TigonError(f"--mask {path}: cannot be read as a picture ({error})") from error
    if not (grey > 127).any():
        raise TigonError(f"--mask {path}: keeps nothing: it must be white where values are kept")
    return torch.from_numpy(grey > 127).float()
