"""Where images come from: a folder, one file, a `.npz` of uint8 images, or the embedded set."""

import hashlib
import io
import json
import logging
import math
import os
import stat
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tigon.data.arrays import read_images
from tigon.data.pixels import Fit, picture_to_uint8
from tigon.errors import TigonError
from tigon.files import is_utf8, printable

EMBEDDED = {"animal-faces": Path(__file__).parent / "animal_faces"}
CHUNK = 256
# What is decoded. Formats that Pillow hands to another program (EPS, to Ghostscript) are not.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM"),
)
LONGEST, LARGE = 100_000, 2**24  # pixels: of a side at most, and of what is decoded one by one
_one_by_one = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong is said once, by tigon


@dataclass(frozen=True)
class Form:
    """The form that every image of a set is brought to.

    Arguments:
        image_size: height and width in pixels
        fit: `stretch` to the square, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: whether a mirrored copy of every image follows the images
    """

    image_size: int = 64
    fit: Fit = "stretch"
    channels: int = 3
    mirror: bool = False

    def convert(self, picture: Image.Image) -> np.ndarray:
        """Convert one picture to uint8 (H, W, C)."""
        return picture_to_uint8(picture, self.image_size, self.fit, self.channels)


class Source(ABC):
    """Pictures that can be read one by one, each with a name.

    `read` gives uint8 (H, W, C) or the reason, in words, why there is none; `unreadable` says
    which folders could not be searched.
    """

    names: Sequence[str]
    unreadable: Sequence[str] = ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Return text that changes when the pictures do."""

    @abstractmethod
    def read(self, number: int, form: Form) -> np.ndarray | str:
        """Return picture `number` in this form, or why it cannot be read."""

    def read_all(self, form: Form) -> Iterator[np.ndarray | str]:
        """Yield every picture in order, decoded by a few threads at a time."""
        with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for start in range(0, len(self.names), CHUNK):
                numbers = range(start, min(start + CHUNK, len(self.names)))
                yield from pool.map(lambda number: self.read(number, form), numbers)

    def key(self, form: Form) -> str:
        """Return a name for the cached copy of this source in this form."""
        text = json.dumps([2, self.fingerprint(), asdict(form)])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class FileSource(Source):
    """Picture files, in the order of their names."""

    def __init__(self, root: Path, paths: Sequence[Path], unreadable: Sequence[str] = ()) -> None:
        self.paths, self.root, self.unreadable = paths, root, unreadable
        self.names = [printable(path.relative_to(root).as_posix()) for path in paths]

    def fingerprint(self) -> str:
        """Return a hash of every file's name, size and time of change."""
        digest = hashlib.sha256(os.fsencode(self.root.resolve()))
        for path in self.paths:
            digest.update(os.fsencode(path.relative_to(self.root)) + b"\0")
            try:
                found = path.stat()
                digest.update(b"%d\0%d\n" % (found.st_size, found.st_mtime_ns))
            except OSError:  # gone since the folder was searched: `read` says so
                digest.update(b"gone\n")
        digest.update("\n".join(self.unreadable).encode())
        return digest.hexdigest()

    def read(self, number: int, form: Form) -> np.ndarray | str:
        """Decode one file; a picture too large to be honest is refused."""
        try:
            with (
                _Clipped(io.FileIO(self.paths[number])) as file,
                Image.open(file, formats=_formats()) as picture,
            ):
                return _converted(picture, form)
        except UnidentifiedImageError:
            return "is not an image"
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return "has too many pixels"
        except Exception as error:  # decoders of broken files raise anything
            return f"cannot be read ({_reason(error)})"


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


def _converted(picture: Image.Image, form: Form) -> np.ndarray | str:
    """Convert a picture, large ones one at a time: each takes a gigabyte or more."""
    if max(picture.size) > LONGEST:
        return "has too many pixels"
    with _one_by_one if math.prod(picture.size) > LARGE else nullcontext():
        return form.convert(picture)


def _reason(error: Exception) -> str:
    """Return what an error says as one short line, without the file's name, which is said."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split()))[:200] or type(error).__name__


class ArraySource(Source):
    """The array `images` of a `.npz`: uint8 (N, H, W, C) or (N, H, W)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def images(self) -> np.ndarray:
        """The array, read when it is first needed."""
        return read_images(self.path)

    @cached_property
    def names(self) -> Sequence[str]:  # type: ignore[override]
        """The file's name with each image's number."""
        return [f"{printable(self.path.name)}[{k}]" for k in range(len(self.images))]

    def fingerprint(self) -> str:
        """Return the file's path, size and time of change."""
        stat = self.path.stat()
        return f"{self.path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"

    def read(self, number: int, form: Form) -> np.ndarray | str:
        """Bring one image of the array to this form."""
        try:
            return _converted(Image.fromarray(self.images[number]), form)
        except (ValueError, MemoryError) as error:
            return f"cannot be read ({_reason(error)})"


def open_source(data: str) -> Source:
    """Open `embedded:NAME`, a folder, a `.npz` or one picture file.

    Raises:
        TigonError: if there is no such thing, or no picture in it
    """
    if data.startswith("embedded:"):
        return _open_embedded(data.removeprefix("embedded:"))
    path = Path(data)
    if not data:
        raise TigonError("data '': is empty; give a folder of images, or a .npz")
    if not is_utf8(str(path.absolute())):
        raise TigonError(f"data '{printable(data)}': its name is not valid UTF-8; rename it")
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _not_found(data, error) from error
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if not stat.S_ISREG(mode):
        raise TigonError(f"data '{printable(data)}': is neither a folder nor a file")
    return ArraySource(path) if path.suffix.lower() == ".npz" else FileSource(path.parent, [path])


def _not_found(data: str, error: Exception) -> TigonError:
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return TigonError(
            f"data {data!r}: no such folder or file; give a folder of images, a .npz, "
            f"or embedded:{next(iter(EMBEDDED))}"
        )
    return TigonError(f"data '{printable(data)[:200]}': cannot be read ({_reason(error)})")


def _open_embedded(name: str) -> Source:
    if name not in EMBEDDED:
        raise TigonError(f"data 'embedded:{name}': there is only {', '.join(EMBEDDED)}")
    return _open_folder(EMBEDDED[name])


def _open_folder(folder: Path) -> Source:
    found, unreadable = _search(folder)
    endings = Image.registered_extensions()
    paths = []
    for path in sorted(path for path in found if path.suffix.lower() in endings):
        reason = _no_file(path)
        if reason is None:
            paths.append(path)
        else:
            unreadable.append(f"{printable(path.relative_to(folder).as_posix())} {reason}")
    if not paths and unreadable:
        raise TigonError(f"data '{folder}': nothing in it can be read; {unreadable[0]}")
    if not paths:
        raise TigonError(f"data '{folder}': no images in this folder (such as .jpg or .png)")
    return FileSource(folder, paths, unreadable)


def _search(folder: Path) -> tuple[list[Path], list[str]]:
    """Return all files below a folder, each folder searched once, and what cannot be searched."""
    found: list[Path] = []
    errors: list[OSError] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=errors.append, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if os.path.realpath(parent) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return found, [
        f"{printable(str(e.filename))} cannot be searched ({e.strerror})" for e in errors
    ]


def _no_file(path: Path) -> str | None:
    """Return why a path is no file that can be opened: a broken link, a pipe; None if it is."""
    try:
        return None if stat.S_ISREG(path.stat().st_mode) else "is no file"
    except OSError as error:
        return f"cannot be read ({_reason(error)})"
