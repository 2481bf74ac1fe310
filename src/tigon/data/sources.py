"""Where images come from: a folder, one file, a `.npz`, Hugging Face, or the embedded set."""

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tigon.data import hf
from tigon.data.arrays import images_shape, iterate_images, read_labels
from tigon.data.conversion import Decoded
from tigon.data.endings import group_of
from tigon.data.folders import open_file, open_folder, open_pattern
from tigon.data.form import Form
from tigon.data.formats import passed_over
from tigon.data.pictures import CHUNK, decode_all, decode_array, reason
from tigon.data.source import Labels, Source
from tigon.errors import TigonError
from tigon.files import is_utf8, printable

EMBEDDED = {"animal-faces": Path(__file__).parent / "animal_faces"}
TOGETHER = 2**26  # bytes of an array that are in memory at a time


class ArraySource(Source):
    """The array `images` of a `.npz`: uint8 (N, H, W, C) or (N, H, W)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return images_shape(self.path)[0]

    def fingerprint(self) -> str:
        """Return the file's path, size and modification time."""
        stat = self.path.stat()
        return f"{self.path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each image's name, made of the file's name and its number, and its pixels."""
        name = printable(self.path.name)
        for number, pixels in enumerate(iterate_images(self.path)):
            yield f"{name}[{number}]", pixels

    def decode(self, item: np.ndarray, form: Form) -> Decoded | str:
        """Convert one image of the array to this form."""
        return decode_array(item, form)

    def labels(self) -> Labels | None:
        """Return the array `labels`, if there is one."""
        values = read_labels(self.path)
        return None if values is None else Labels(values)

    def _decoded(self, form: Form) -> Iterator[tuple[str, Decoded | str]]:
        """Yield every image, in groups that are small enough for memory."""
        together = TOGETHER // math.prod(images_shape(self.path)[1:])
        chunk = max(1, min(CHUNK, together))
        return decode_all(self.items(), self.decode, form, chunk)


def open_source(data: str) -> Source:
    """Open `embedded:NAME`, `hf:NAME`, a folder, a `.npz`, a picture, or a pattern of pictures.

    Raises:
        TigonError: if it does not exist or has no pictures
    """
    if data.startswith("embedded:"):
        return _open_embedded(data.removeprefix("embedded:"))
    if data.startswith(hf.PREFIX):
        return hf.HubSource(hf.Name.of(data))
    if is_pattern(data):
        return open_pattern(data)[0]
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
        return open_folder(path)
    if not stat.S_ISREG(mode):
        raise TigonError(f"data '{printable(data)}': is neither a folder nor a file")
    if path.suffix.lower() == ".npz":
        return ArraySource(path)
    _refuse_container(data, path)
    return open_file(path)


def _refuse_container(data: str, path: Path) -> None:
    """Refuse a file that holds arrays or other files, and say how to get images from it."""
    name = printable(data)
    if path.suffix.lower() == ".npy":
        raise TigonError(
            f"data '{name}': is an array without a name; "
            f"numpy.savez({path.stem + '.npz'!r}, images=numpy.load({path.name!r})) makes what is "
            "read"
        )
    ending = passed_over(path.name)
    if ending and group_of(ending) == "archive":
        folder = path.name[: -len(ending)] or "photos"
        how = f"unzip {name} -d {folder}" if ending == ".zip" else f"unpack it into {folder}"
        raise TigonError(f"data '{name}': is an archive; {how}, and give --data {folder}")


def is_named(data: str) -> bool:
    """Return whether data have a name (hf:NAME or embedded:NAME) instead of a path."""
    return data.startswith((hf.PREFIX, "embedded:"))


def is_pattern(data: str) -> bool:
    """Return whether data are a pattern, such as part-*.npz."""
    return "*" in data and not is_named(data) and not os.path.lexists(data)


def resolved(data: str) -> str:
    """Return a name for a data set that is valid from any folder."""
    if data.startswith(hf.PREFIX):
        return hf.resolve(data)
    if is_pattern(data):
        return os.path.abspath(data)
    try:
        path = Path(data)
        return str(path.resolve()) if path.exists() else data
    except (OSError, ValueError):  # too long, or not a valid name: no such file
        return data


def _not_found(data: str, error: Exception) -> TigonError:
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return TigonError(
            f"data '{printable(data)}': no such folder or file; give a folder of images, a .npz, "
            f"hf:NAME or embedded:{next(iter(EMBEDDED))}"
        )
    return TigonError(f"data '{printable(data)[:200]}': cannot be read ({reason(error)})")


def _open_embedded(name: str) -> Source:
    if name not in EMBEDDED:
        raise TigonError(f"data 'embedded:{name}': there is only {', '.join(EMBEDDED)}")
    return open_folder(EMBEDDED[name])
