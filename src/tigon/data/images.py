"""ImageSet: the images of a data set as one memory-mapped uint8 array.

Every source is decoded once, into a cache in `$TIGON_CACHE` (else the user's cache folder), whose
name depends on the files' names, sizes and times and on the form asked for.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from tigon.data.pixels import Fit, to_float
from tigon.data.sources import Form, Source, open_source
from tigon.errors import TigonError

LARGEST = 8192


@dataclass(frozen=True)
class ImageSet:
    """Images of one size: `pixels` uint8 (N, H, W, C), a name each, and what was left out.

    `skipped` has one line for each file that could not be read: its name and why.
    """

    pixels: np.ndarray
    names: list[str]
    skipped: list[str]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """Channels of an image: 3 or 1."""
        return self.pixels.shape[3]

    def read(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return images as floats in [-1, 1], (B, C, H, W), by rows (B,) or by a slice."""
        rows = index.cpu().numpy() if isinstance(index, Tensor) else index
        return to_float(self.pixels[rows])

    def fingerprint(self) -> str:
        """Return a hash of the names, the form and some thousand of the images."""
        digest = hashlib.sha256(json.dumps([self.names, self.pixels.shape]).encode())
        for row in range(0, len(self), max(1, len(self) // 4096)):
            digest.update(self.pixels[row].tobytes())
        return digest.hexdigest()[:16]

    def mean_colours(self) -> Tensor:
        """Return the mean colour of each image, (N, C), in [-1, 1]."""
        return torch.cat([self.read(rows).mean((2, 3)) for rows in self._chunks()])

    def mean_image(self) -> Tensor:
        """Return the mean of all images, (C, H, W), in [-1, 1]."""
        total = sum(self.read(rows).sum(0, dtype=torch.float64) for rows in self._chunks())
        return (total / len(self)).float()  # type: ignore[union-attr]

    def _chunks(self, size: int = 1024) -> list[slice]:
        return [slice(start, start + size) for start in range(0, len(self), size)]


def load_images(
    data: str | os.PathLike[str],
    image_size: int = 64,
    fit: Fit = "stretch",
    channels: int = 3,
    mirror: bool = False,
) -> ImageSet:
    """Load images of any depth, size and mode as squares of one size.

    Arguments:
        data: a folder (searched to its depths), a `.npz` with `images` (uint8, N H W C), one
            picture file, or `embedded:animal-faces`
        image_size: height and width in pixels, >= 8
        fit: `stretch` each image to the square, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: whether to append a mirrored copy of every image
    Raises:
        TigonError: if there is nothing that can be read; it says what and why
    """
    if not 8 <= image_size <= LARGEST or channels not in (1, 3):
        raise TigonError(
            f"image size {image_size} and {channels} channels: images have at least 8 pixels a "
            f"side and at most {LARGEST}, and 1 or 3 channels"
        )
    form = Form(image_size, fit, channels, mirror)
    source = open_source(os.fspath(data))
    folder = cache_folder() / source.key(form)
    if not (folder / "images.npy").is_file():
        _fill(folder, source, form)
    try:
        return _read(folder, form)
    except Exception as error:  # readers of broken files raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TigonError(f"image cache {folder} is damaged; delete it ({reason})") from error


def _read(folder: Path, form: Form) -> ImageSet:
    """Open what `_fill` wrote.

    Raises:
        Exception: of any kind, if it is something else
    """
    notes = json.loads((folder / "names.json").read_text("utf-8"))
    images = ImageSet(np.load(folder / "images.npy", mmap_mode="r"), **notes)
    shape = (len(images.names), form.image_size, form.image_size, form.channels)
    if images.pixels.shape != shape or images.pixels.dtype != np.uint8 or not images.names:
        raise ValueError(f"{images.pixels.dtype} {images.pixels.shape}, not uint8 {shape}")
    return images


def cache_folder() -> Path:
    """Return where decoded images are kept: $TIGON_CACHE, else the user's cache folder."""
    if os.environ.get("TIGON_CACHE"):
        return Path(os.environ["TIGON_CACHE"])
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "tigon"


def _fill(folder: Path, source: Source, form: Form) -> None:
    """Decode a source into a cache folder, which appears whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    except OSError as error:
        raise TigonError(
            f"image cache {folder.parent} cannot be written; set TIGON_CACHE ({error})"
        ) from error
    try:
        names, skipped = _decode(work / "images.npy", source, form)
        notes = {"names": names, "skipped": skipped}
        (work / "names.json").write_text(json.dumps(notes), encoding="utf-8")
        if not folder.exists():
            work.rename(folder)
    except OSError as error:
        if not folder.exists():
            raise TigonError(f"image cache {folder.parent} cannot be written ({error})") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _decode(path: Path, source: Source, form: Form) -> tuple[list[str], list[str]]:
    """Write the readable pictures of a source to `path` (.npy); return names and what failed.

    Rows are appended by plain writes: a full disk is an error, as it would not be in a memory map.
    """
    names: list[str] = []
    skipped = list(source.unreadable)
    with path.open("w+b") as file:
        start = _write_header(file, 0, form)
        for name, pixels in zip(source.names, source.read_all(form), strict=True):
            if isinstance(pixels, str):
                skipped.append(f"{name} {pixels}")
            else:
                file.write(pixels.tobytes())
                names.append(name)
        if not names:
            raise TigonError(f"data: none of {len(skipped)} images can be read; {skipped[0]}")
        if form.mirror:
            _append_mirrored(file, start, len(names), form)
            names += [f"{name} (mirrored)" for name in names]
        file.seek(0)
        if _write_header(file, len(names), form) != start:
            raise AssertionError("the header of a .npy changed its length")
    return names, skipped


def _write_header(file: BinaryIO, count: int, form: Form) -> int:
    """Write a .npy header for `count` images; its length does not depend on the count."""
    shape = (count, form.image_size, form.image_size, form.channels)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _append_mirrored(file: BinaryIO, start: int, count: int, form: Form) -> None:
    """Append the mirrored copies of the first `count` images after them."""
    row = form.image_size**2 * form.channels
    for number in range(count):
        file.seek(start + number * row)
        pixels = np.frombuffer(file.read(row), np.uint8)
        pixels = pixels.reshape(form.image_size, form.image_size, form.channels)
        file.seek(0, os.SEEK_END)
        file.write(np.ascontiguousarray(pixels[:, ::-1]).tobytes())
