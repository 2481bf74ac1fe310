"""Where images come from: a folder, one file, a `.npz` of uint8 images, or the embedded set."""

import hashlib
import json
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tigon.data.pixels import Fit, picture_to_uint8
from tigon.errors import TigonError
from tigon.files import NPZ_ERRORS, printable

EMBEDDED = {"animal-faces": Path(__file__).parent / "animal_faces"}
CHUNK = 256


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
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for start in range(0, len(self.names), CHUNK):
                numbers = range(start, min(start + CHUNK, len(self.names)))
                yield from pool.map(lambda number: self.read(number, form), numbers)

    def key(self, form: Form) -> str:
        """Return a name for the cached copy of this source in this form."""
        text = json.dumps([1, self.fingerprint(), asdict(form)])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class FileSource(Source):
    """Picture files, in the order of their names."""

    def __init__(self, root: Path, paths: Sequence[Path], unreadable: Sequence[str] = ()) -> None:
        self.paths, self.root, self.unreadable = paths, root, unreadable
        self.names = [printable(path.relative_to(root).as_posix()) for path in paths]

    def fingerprint(self) -> str:
        """Return a hash of every file's name, size and time of change."""
        digest = hashlib.sha256(str(self.root.resolve()).encode(errors="surrogateescape"))
        for name, path in zip(self.names, self.paths, strict=True):
            stat = path.stat()
            line = f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read(self, number: int, form: Form) -> np.ndarray | str:
        """Decode one file; a picture too large to be honest is refused by Pillow."""
        try:
            with Image.open(self.paths[number]) as picture:
                return form.convert(picture)
        except UnidentifiedImageError:
            return "is not an image"
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return "has too many pixels"
        except Exception as error:  # decoders of broken files raise anything
            return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"


class ArraySource(Source):
    """The array `images` of a `.npz`: uint8 (N, H, W, C) or (N, H, W)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def images(self) -> np.ndarray:
        """The array, read when it is first needed."""
        return _open_images(self.path)

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
        return form.convert(Image.fromarray(self.images[number]))


def open_source(data: str) -> Source:
    """Open `embedded:NAME`, a folder, a `.npz` or one picture file.

    Raises:
        TigonError: if there is no such thing, or no picture in it
    """
    if data.startswith("embedded:"):
        return _open_embedded(data.removeprefix("embedded:"))
    if printable(data) != data:
        raise TigonError(f"data '{printable(data)}': its name is not valid UTF-8; rename it")
    path = Path(data)
    if path.is_dir():
        return _open_folder(path)
    if path.suffix == ".npz" and path.is_file():
        return ArraySource(path)
    if path.is_file():
        return FileSource(path.parent, [path])
    raise TigonError(
        f"data {data!r}: no such folder or file; give a folder of images, a .npz, "
        f"or embedded:{next(iter(EMBEDDED))}"
    )


def _open_embedded(name: str) -> Source:
    if name not in EMBEDDED:
        raise TigonError(f"data 'embedded:{name}': there is only {', '.join(EMBEDDED)}")
    return _open_folder(EMBEDDED[name])


def _open_folder(folder: Path) -> Source:
    endings = Image.registered_extensions()
    paths: list[Path] = []
    errors: list[OSError] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=errors.append, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if os.path.realpath(parent) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        found = [Path(parent, name) for name in files if not name.startswith(".")]
        paths += [path for path in found if path.suffix.lower() in endings and path.is_file()]
    if not paths:
        raise TigonError(f"data '{folder}': no images in this folder (such as .jpg or .png)")
    unreadable = [
        f"{printable(str(e.filename))} cannot be searched ({e.strerror})" for e in errors
    ]
    return FileSource(folder, sorted(paths), unreadable)


def _open_images(path: Path) -> np.ndarray:
    wanted = "needs an array 'images' of uint8 with shape (N, H, W, 3), (N, H, W, 1) or (N, H, W)"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "images" not in arrays:
                raise TigonError(f"data '{path}': {wanted}; it has {sorted(arrays) or 'nothing'}")
            images = arrays["images"]
    except NPZ_ERRORS as error:
        raise TigonError(f"data '{path}': is no readable .npz ({error})") from error
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    shaped = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)
    if images.dtype != np.uint8 or not shaped or 0 in images.shape:
        raise TigonError(f"data '{path}': {wanted}; its images are {images.dtype} {images.shape}")
    return images
