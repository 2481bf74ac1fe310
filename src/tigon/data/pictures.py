"""Careful decoding of pictures: decoders may fail in any way, and files lie about their size."""

import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from tigon.data.conversion import Decoded, convert
from tigon.data.endings import POINTER
from tigon.data.form import Form, too_many
from tigon.data.formats import formats
from tigon.data.metadata import PNG, lean_png
from tigon.data.notes import Note
from tigon.errors import install
from tigon.files import printable

CHUNK = 256  # pictures decoded together
PAGED = ("AVIF", "GIF", "HEIF", "PNG", "TIFF", "WEBP")  # not MPO: its other frames are gain maps
SMALLER = 5  # bits of TIFF's tag NewSubfileType: a smaller copy of another page, or a mask
HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")
AVIF = (b"ftypavif", b"ftypavis")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # tigon reports errors, once
K = TypeVar("K")
T = TypeVar("T")
Opener = Callable[[], BinaryIO]


def decode_all(
    items: Iterable[tuple[K, T]],
    decode: Callable[[T, Form], Decoded | str],
    form: Form,
    chunk: int = CHUNK,
) -> Iterator[tuple[K, Decoded | str]]:
    """Yield every item's name, and its picture or why there is none, in order.

    Arguments:
        decode: returns the picture, or the reason in words; called from a few threads
        chunk: number of items decoded at a time
    """
    items, work = iter(items), partial(_decode_item, decode, form)
    with reading(form), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while some := list(islice(items, chunk)):
            yield from pool.map(work, some)


def _decode_item(
    decode: Callable[[T, Form], Decoded | str], form: Form, item: tuple[K, T]
) -> tuple[K, Decoded | str]:
    return item[0], decode(item[1], form)


@contextmanager
def reading(form: Form) -> Iterator[None]:
    """Let Pillow open pictures up to the form's limit of pixels, without messages of its own.

    Pillow has one limit for all threads, so it is set to the highest requested one, and `convert`
    checks each picture again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with _limit.held(form.max_pixels):
            yield


class _Limit:
    """Pillow's limit of pixels, raised while pictures are read and restored afterwards."""

    def __init__(self) -> None:
        self.lock, self.limits = threading.Lock(), list[int]()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Keep the limit at least this high, inside the block."""
        with self.lock:
            if not self.limits:
                self.usual = Image.MAX_IMAGE_PIXELS
            self.limits.append(pixels)
            Image.MAX_IMAGE_PIXELS = max(self.limits)
        try:
            yield
        finally:
            with self.lock:
                self.limits.remove(pixels)
                Image.MAX_IMAGE_PIXELS = max(self.limits) if self.limits else self.usual


_limit = _Limit()


def decode_file(path: str, form: Form) -> Decoded | str:
    """Decode the first picture of one file."""
    return decode_picture(partial(open_clipped, path), form)


def decode_bytes(data: bytes, form: Form) -> Decoded | str:
    """Decode the bytes of one file, with the same care."""
    return decode_picture(lambda: io.BytesIO(data), form)


def decode_picture(opened: Opener, form: Form) -> Decoded | str:
    """Decode the file that `opened` opens, or return why it cannot be read."""
    found = _tried(opened, form)
    if not isinstance(found, str):
        return found
    try:
        with opened() as file:
            start = file.read(len(POINTER))
            data = start + file.read() if start.startswith(PNG) else b""
    except Exception:  # from networks and archives
        return found
    if not data:
        return _known(start) or found
    lean, profile = lean_png(data)  # the failure may be outside the pixels
    again = _tried(lambda: io.BytesIO(lean), form, profile)
    return found if isinstance(again, str) else again


def _known(start: bytes) -> str:
    """Say what an unreadable file is, judging by its first bytes; "" if unknown."""
    if start == POINTER:
        return "is a git-lfs pointer; git lfs pull fetches the picture"
    brand, read = start[4:12], formats()
    for extra, kind, brands in (("heic", "HEIF", HEIC), ("avif", "AVIF", AVIF)):
        if brand in brands and kind not in read:
            return f"is a picture of {extra.upper()}; {install(extra)} reads it"
    return ""


def _tried(opened: Opener, form: Form, profile: bytes = b"") -> Decoded | str:
    try:
        with opened() as file, Image.open(file, formats=formats()) as picture:
            if profile:
                picture.info["icc_profile"] = profile
            several = _has_more(picture)
            found = convert(picture, form)
            if several and isinstance(found, Decoded):
                found = found._replace(notes=(*found.notes, Note("frames")))
            return found
    except UnidentifiedImageError:
        return "is not an image"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        return too_many(int(pixels[1]) if pixels else 0, form.max_pixels)
    except Exception as error:  # decoders of broken files raise anything
        return f"cannot be read ({reason(error)})"


def decode_frames(opened: Opener, form: Form) -> Iterator[tuple[str, Decoded | str]]:
    """Yield every page or frame, or why it cannot be read, with a suffix for its name.

    One is in memory at a time. After one that cannot be read, no more are tried.
    """
    first = decode_picture(opened, form)
    if isinstance(first, str) or Note("frames") not in first.notes:
        yield "", first
        return
    yield "[0]", first._replace(notes=tuple(n for n in first.notes if n.kind != "frames"))
    done = 0
    try:
        with opened() as file, Image.open(file, formats=formats()) as picture:
            for _ in _pages(picture):
                yield f"[{done + 1}]", convert(picture, form)
                done += 1
    except Exception as error:
        yield f"[{done + 1}]", f"cannot be read, nor what follows ({reason(error)})"


def _has_more(picture: Image.Image) -> bool:
    """Return whether a file has more than one page or frame."""
    if picture.format not in PAGED:
        return False
    if picture.format != "TIFF":
        return bool(getattr(picture, "is_animated", False))
    try:
        return next(_pages(picture), None) is not None
    except Exception:  # from later pages, which are not needed
        return False
    finally:
        picture.seek(0)


def _pages(picture: Image.Image) -> Iterator[int]:
    """Go to one page or frame after another, starting with the second."""
    for number in count(1):
        try:
            picture.seek(number)
        except EOFError:
            return
        tags = getattr(picture, "tag_v2", {})
        if not tags.get(254, 0) & SMALLER:
            yield number


def decode_array(pixels: np.ndarray, form: Form) -> Decoded | str:
    """Convert one image, uint8 (H, W, 3) or (H, W), to this form."""
    if pixels.shape == (form.shape if pixels.ndim == 3 else form.shape[:2]):
        if pixels.ndim == 3 or form.channels == 1:
            return Decoded(pixels.reshape(form.shape))  # converting would change nothing
    try:
        return convert(Image.fromarray(pixels), form)
    except (ValueError, MemoryError) as error:
        return f"cannot be read ({reason(error)})"


def reason(error: Exception) -> str:
    """Return an error's message as one short line, without the file's name."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split()))[:200] or type(error).__name__


def open_clipped(path: str) -> BinaryIO:
    """Open a file so that reading allocates no more than its actual size."""
    return _Clipped(io.FileIO(path))


class _Clipped(io.BufferedReader):
    """A file that allocates memory for its actual size, not for the lengths that it claims."""

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, and at most the remaining ones; -1 reads all of them."""
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))
