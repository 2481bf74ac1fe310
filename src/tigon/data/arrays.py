"""Read images from a `.npz`; its header is checked before memory is allocated."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tigon.data.endings import POINTER
from tigon.errors import TigonError
from tigon.files import printable

WANTED = "needs an array 'images' of uint8 with shape (N, H, W, 3), (N, H, W, 1) or (N, H, W)"
CHUNK = 2**20
WHITES = (1, 255, 4095, 65535)  # values of white in arrays that are not of 8 bits
LARGE, RATIO = 2**30, 200  # arrays of more bytes, compressed by more than this ratio, are bombs


class Header(NamedTuple):
    """The header of a `.npy`."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


class _Opened(NamedTuple):
    """The archive member with the images, opened just after its header."""

    file: BinaryIO
    shape: tuple[int, ...]
    fortran: bool


def read_images(path: Path) -> np.ndarray:
    """Read the array `images` of a `.npz`, uint8 (N, H, W, 3), or (N, H, W) for grey.

    Nothing is unpickled or extracted, whatever names its members have.

    Raises:
        TigonError: if there is no such array, or it is damaged; it says which and why
    """
    with _opened(path) as found:
        return _whole(found)


def images_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of the array `images`, (N, H, W, 3) or (N, H, W), without reading it.

    Raises:
        TigonError: if there is no such array
    """
    with _opened(path) as found:
        return found.shape


def read_labels(path: Path) -> np.ndarray | None:
    """Read the array `labels` of a `.npz`, int64 (N,), one for each image; None if there is none.

    Raises:
        TigonError: if they are not integers, or not one for each image
    """
    with _opened_archive(path) as archive:
        if "labels.npy" not in archive.namelist():
            return None
        count = images_shape(path)[0]
        with archive.open("labels.npy") as file:
            header = _header(file)  # type: ignore[arg-type]
            if header.shape != (count,) or not np.can_cast(header.dtype, np.int64):
                raise TigonError(
                    f"data '{path}': its labels are {header.dtype} {header.shape}; give an "
                    f"integer for each of its images, ({count},), or rename the array"
                )
            size = count * header.dtype.itemsize
            values = np.frombuffer(_read_exactly(file, size), header.dtype)  # type: ignore[arg-type]
            _refuse_more(file)  # type: ignore[arg-type]
    return values.astype(np.int64)


def iterate_images(path: Path) -> Iterator[np.ndarray]:
    """Yield the images one by one, (H, W, 3) or (H, W), with a megabyte in memory at a time.

    An array in Fortran order stores no image in one piece, so it is read whole.

    Raises:
        TigonError: as `read_images`, at the damaged image
    """
    with _opened(path) as found:
        if found.fortran:
            yield from _whole(found)
            return
        count, shape = found.shape[0], found.shape[1:]
        rows = max(1, CHUNK // math.prod(shape))
        for first in range(0, count, rows):
            some = (min(rows, count - first), *shape)
            yield from _read_exactly(found.file, math.prod(some)).reshape(some)
        _refuse_more(found.file)


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    with _opened_archive(path) as archive:
        info = _member(path, archive)
        with archive.open(info) as file:
            header = _header(file)  # type: ignore[arg-type]
            shape = _shape(path, header, file)  # type: ignore[arg-type]
            _refuse_bomb(path, info, math.prod(shape))
            yield _Opened(file, shape, header.fortran)  # type: ignore[arg-type]


@contextmanager
def _opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except TigonError:
        raise
    except Exception as error:  # readers of broken archives raise anything
        with suppress(OSError), path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise TigonError(
                    f"data '{path}': is a git-lfs pointer; git lfs pull fetches the file"
                ) from error
        reason = printable(str(error)) or type(error).__name__
        raise TigonError(f"data '{path}': is not a readable .npz ({reason})") from error


def _whole(found: _Opened) -> np.ndarray:
    """Read all pixels; reading to the end verifies them."""
    size = math.prod(found.shape)
    pixels = np.empty(size, np.uint8)
    for start in range(0, size, CHUNK):
        part = pixels[start : start + CHUNK]
        part[:] = _read_exactly(found.file, len(part))
    _refuse_more(found.file)
    shape = found.shape
    return pixels.reshape(shape[::-1]).T if found.fortran else pixels.reshape(shape)


def _read_exactly(file: BinaryIO, size: int) -> np.ndarray:
    found = file.read(size)
    if len(found) != size:
        raise ValueError(f"its {Path(file.name).stem} are cut short")
    return np.frombuffer(found, np.uint8)


def _refuse_more(file: BinaryIO) -> None:
    """Refuse data after the images; reading on verifies their checksum."""
    if file.read(1):
        raise ValueError(f"its {Path(file.name).stem} are longer than their shape")


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


def _shape(path: Path, header: Header, file: BinaryIO) -> tuple[int, ...]:
    """Return the shape, (N, H, W, 3) or (N, H, W), of an array of images; refuse any other."""
    shape = header.shape[:3] if header.shape[3:] == (1,) else header.shape
    shaped = len(shape) == 3 or (len(shape) == 4 and shape[-1] == 3)
    whole = all(type(n) is int and n > 0 for n in shape)
    if header.dtype != np.uint8 or not shaped or not whole:
        found = f"its images are {header.dtype} {header.shape}"
        how = _conversion(header, file) if whole else ""
        raise TigonError(f"data '{path}': {WANTED}; {found}{how}")
    if len(header.shape) == 3:
        _refuse_two_ways(path, header.shape)
    return shape


def _conversion(header: Header, file: BinaryIO) -> str:
    """Return the range of an array that is not images, and the NumPy lines that convert it."""
    shape, dtype = header.shape, header.dtype
    lines, said = [], ""
    if len(shape) == 4 and shape[-1] == 4:
        lines.append("x = x[..., :3]")
    elif len(shape) == 4 and shape[-1] not in (1, 3) and shape[1] in (1, 3, 4):
        lines.append(f"x = x{'[:, :3]' * (shape[1] == 4)}.transpose(0, 2, 3, 1)")
    if dtype.kind in "biuf" and dtype != np.uint8:
        size = CHUNK - CHUNK % dtype.itemsize
        values = np.frombuffer(file.read(min(size, dtype.itemsize * math.prod(shape))), dtype)
        low, high = float(values.min()), float(values.max())
        said = f", from {low:g} to {high:g} at its beginning"
        white = next((w for w in WHITES if low >= 0 and high <= w), None)
        if white is not None:
            lines.append(f"x = (x * (255 / {white})).round().astype('uint8')")
    return said + (f"; convert them by {'; '.join(lines)}" if lines else "")


def _refuse_two_ways(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse an array that could be one colour picture or many tiny grey images."""
    count, height, width = shape
    if width in (1, 3, 4):
        one, call = f"one picture of {count} x {height}", "x[None, ..., :3]"
    elif count == 3:
        one, call = f"one picture of {height} x {width}", "x.transpose(1, 2, 0)[None]"
    else:
        return
    call = "x[None]" if width in (1, 3) else call
    raise TigonError(
        f"data '{path}': its images {shape} can be read as {one}, or as {count} grey images of "
        f"{height} x {width}; save {call} for the first, x[..., None] for the others"
    )


def _refuse_bomb(path: Path, info: zipfile.ZipInfo, size: int) -> None:
    stored = min(info.compress_size, path.stat().st_size)
    if size > LARGE and size > RATIO * stored:
        raise TigonError(
            f"data '{path}': {stored} bytes that claim to be {size} of images; "
            "such an archive is not opened"
        )
