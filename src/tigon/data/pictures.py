"""Pictures decoded with care: decoders may fail in any way, and files lie about their size."""

import io
import logging
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tigon.choices import require_choice, require_choices
from tigon.data.pixels import Fit
from tigon.errors import TigonError
from tigon.files import printable
from tigon.sizes import ImageSize, sides, size_text

CHUNK = 256  # pictures that are decoded together
SMALLEST, LARGEST = 8, 8192  # pixels of a side
# What is decoded. Formats that Pillow hands to another program (EPS, to Ghostscript) are not.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM"),
)
LONGEST, LARGE = 100_000, 2**24  # pixels: of a side at most, and of what is decoded one by one
_one_by_one = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong is said once, by tigon
K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """The form that every image of a set is brought to.

    Arguments:
        image_size: height and width in pixels; one number for a square
        fit: `stretch` to this size, or `crop` the centre
        channels: 3 (RGB) or 1 (grey)
        mirror: whether a mirrored copy of every image follows the images
    Raises:
        TigonError: if sizes or channels make no sense, or the fit is unknown
    """

    image_size: ImageSize = 64
    fit: Fit = "stretch"
    channels: int = 3
    mirror: bool = False

    def __post_init__(self) -> None:
        require_choices(self)
        fits = all(SMALLEST <= side <= LARGEST for side in sides(self.image_size))
        if not fits or self.channels not in (1, 3):
            raise TigonError(
                f"image size {size_text(self.image_size)} and {self.channels} channels: images "
                f"have at least {SMALLEST} pixels a side and at most {LARGEST}, and 1 or 3 "
                "channels"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (H, W, C)."""
        return (*sides(self.image_size), self.channels)

    def convert(self, picture: Image.Image) -> np.ndarray:
        """Convert one picture to uint8 (H, W, C)."""
        return picture_to_uint8(picture, self.image_size, self.fit, self.channels)


def decode_all(
    items: Iterable[tuple[K, T]],
    decode: Callable[[T, Form], np.ndarray | str],
    form: Form,
    chunk: int = CHUNK,
) -> Iterator[tuple[K, np.ndarray | str]]:
    """Yield every item's name, and its picture or why there is none, in order.

    Arguments:
        decode: gives uint8 (H, W, C), or the reason in words; called in a few threads
        chunk: items that are taken at a time
    """
    items, work = iter(items), partial(_decode_item, decode, form)
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        while some := list(islice(items, chunk)):
            yield from pool.map(work, some)


def _decode_item(
    decode: Callable[[T, Form], np.ndarray | str], form: Form, item: tuple[K, T]
) -> tuple[K, np.ndarray | str]:
    return item[0], decode(item[1], form)


def decode_file(path: str, form: Form) -> np.ndarray | str:
    """Decode one file; a picture too large to be honest is refused."""
    return decode_picture(lambda: _Clipped(io.FileIO(path)), form)


def decode_bytes(data: bytes, form: Form) -> np.ndarray | str:
    """Decode the bytes of one file, with the same care."""
    return decode_picture(lambda: io.BytesIO(data), form)


def decode_picture(opened: Callable[[], BinaryIO], form: Form) -> np.ndarray | str:
    """Decode what `opened` opens, or return why it cannot be read."""
    try:
        with opened() as file, Image.open(file, formats=_formats()) as picture:
            return convert(picture, form)
    except UnidentifiedImageError:
        return "is not an image"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "has too many pixels"
    except Exception as error:  # decoders of broken files raise anything
        return f"cannot be read ({reason(error)})"


def decode_array(pixels: np.ndarray, form: Form) -> np.ndarray | str:
    """Bring one image, uint8 (H, W, 3) or (H, W), to this form."""
    if pixels.shape == (form.shape if pixels.ndim == 3 else form.shape[:2]):
        if pixels.ndim == 3 or form.channels == 1:
            return pixels.reshape(form.shape)  # what follows would change nothing
    try:
        return convert(Image.fromarray(pixels), form)
    except (ValueError, MemoryError) as error:
        return f"cannot be read ({reason(error)})"


def convert(picture: Image.Image, form: Form) -> np.ndarray | str:
    """Convert a picture, large ones one at a time: each takes a gigabyte or more."""
    if max(picture.size) > LONGEST:
        return "has too many pixels"
    with _one_by_one if math.prod(picture.size) > LARGE else nullcontext():
        return form.convert(picture)


def picture_to_uint8(picture: Image.Image, size: ImageSize, fit: Fit, channels: int) -> np.ndarray:
    """Convert a picture to uint8 (H, W, C).

    Arguments:
        picture: of any mode; the camera's rotation is applied, transparency shows white
        size: height and width in pixels; one number for a square
        fit: `stretch` to this size, or `crop` the centre
        channels: 3 (RGB) or 1 (grey)
    """
    require_choice("fit", fit, Fit)
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


def reason(error: Exception) -> str:
    """Return what an error says as one short line, without the file's name, which is said."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split()))[:200] or type(error).__name__


class _Clipped(io.BufferedReader):
    """A file that takes memory for what it has, not for all that its own lengths claim."""

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, and at most those that are left; -1 for all of them."""
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
