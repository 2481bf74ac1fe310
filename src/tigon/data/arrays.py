"""Images out of a `.npz`: what it says of itself is checked before memory is taken for it."""

import math
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tigon.errors import TigonError
from tigon.files import printable

WANTED = "needs an array 'images' of uint8 with shape (N, H, W, 3), (N, H, W, 1) or (N, H, W)"
CHUNK = 2**20
LARGE, RATIO = 2**30, 200  # bytes from which on an array that shrank by more is a bomb


class Header(NamedTuple):
    """What a `.npy` says of itself."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


def read_images(path: Path) -> np.ndarray:
    """Read the array `images` of a `.npz`, uint8 (N, H, W, 3), or (N, H, W) for grey.

    Nothing is unpickled, and nothing is extracted, whatever names its members have.

    Raises:
        TigonError: if there is no such array, or it is damaged; it says which and why
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = _member(path, archive)
            with archive.open(info) as file:
                header = _header(file)  # type: ignore[arg-type]
                shape = _shape(path, header)
                _refuse_bomb(path, info, math.prod(shape))
                pixels = _fill(file, math.prod(shape))  # type: ignore[arg-type]
    except TigonError:
        raise
    except Exception as error:  # readers of broken archives raise anything
        reason = printable(str(error)) or type(error).__name__
        raise TigonError(f"data '{path}': is no readable .npz ({reason})") from error
    return pixels.reshape(shape[::-1]).T if header.fortran else pixels.reshape(shape)


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    names = archive.namelist()
    for name in ("images.npy", "images"):
        if name in names:
            return archive.getinfo(name)
    shown = sorted(printable(name.removesuffix(".npy")) for name in names)
    more = " and others" if shown[10:] else ""
    raise TigonError(f"data '{path}': {WANTED}; it has {shown[:10] or 'nothing'}{more}")


def _header(file: BinaryIO) -> Header:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"format {version} of .npy")
    return Header(*readers[version](file))


def _shape(path: Path, header: Header) -> tuple[int, ...]:
    """Return the shape, (N, H, W, 3) or (N, H, W), of an array that can be images."""
    shape = header.shape[:3] if header.shape[3:] == (1,) else header.shape
    shaped = len(shape) == 3 or (len(shape) == 4 and shape[-1] == 3)
    whole = all(type(n) is int and n > 0 for n in shape)
    if header.dtype != np.uint8 or not shaped or not whole:
        raise TigonError(f"data '{path}': {WANTED}; its images are {header.dtype} {header.shape}")
    return shape


def _refuse_bomb(path: Path, info: zipfile.ZipInfo, size: int) -> None:
    stored = min(info.compress_size, path.stat().st_size)
    if size > LARGE and size > RATIO * stored:
        raise TigonError(
            f"data '{path}': {stored} bytes that claim to be {size} of images; "
            "such an archive is not opened"
        )


def _fill(file: BinaryIO, size: int) -> np.ndarray:
    """Read exactly `size` bytes; reading to the end is what checks them."""
    pixels = np.empty(size, np.uint8)
    for start in range(0, size, CHUNK):
        wanted = min(CHUNK, size - start)
        found = file.read(wanted)
        if len(found) != wanted:
            raise ValueError("its images are cut short")
        pixels[start : start + wanted] = np.frombuffer(found, np.uint8)
    if file.read(1):
        raise ValueError("its images are longer than their shape")
    return pixels
