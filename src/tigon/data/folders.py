"""Picture files: all those below a folder, in the order of their names, or one of them."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tigon.data.pictures import Form, decode_file, reason
from tigon.data.source import Labels, Source
from tigon.errors import TigonError
from tigon.files import name_order, printable


class FileSource(Source):
    """Picture files below one folder.

    Arguments:
        root: the folder
        paths: of the files below it, in order
        stamp: text that changes when a file does
        unreadable: what in the folder cannot be opened, and why
    """

    def __init__(
        self, root: Path, paths: Sequence[str], stamp: str, unreadable: Sequence[str] = ()
    ) -> None:
        self.root, self.paths, self.stamp, self.unreadable = root, paths, stamp, unreadable

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        """Return a hash of every file's name, size and time of change."""
        return self.stamp

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each file's name and path."""
        return ((printable(path), os.path.join(self.root, path)) for path in self.paths)

    def decode(self, item: str, form: Form) -> np.ndarray | str:
        """Decode one file."""
        return decode_file(item, form)

    def labels(self) -> Labels | None:
        """Return the sub-folder of each picture as its class, if all are in one."""
        folders = [path.partition(os.sep)[0] for path in self.paths]
        if any(os.sep not in path for path in self.paths):
            return None
        numbers = {
            name: number for number, name in enumerate(sorted(set(folders), key=name_order))
        }
        values = np.fromiter((numbers[name] for name in folders), np.int64, len(folders))
        return Labels(values, tuple(map(printable, numbers)))


def open_file(path: Path) -> FileSource:
    """Return the source of one picture file."""
    digest = _digest(path.parent)
    digest.update(_stamp(path.name, path.stat()))
    return FileSource(path.parent, [path.name], digest.hexdigest())


def open_folder(folder: Path) -> FileSource:
    """Return the source of all pictures below a folder, each looked at but once.

    Raises:
        TigonError: if there is none
    """
    endings = Image.registered_extensions()
    errors: list[OSError] = []
    paths: list[str] = []
    broken: list[str] = []
    digest = _digest(folder)
    for path in _files(folder, errors):
        if os.path.splitext(path)[1].lower() not in endings:
            continue
        found = _stat(os.path.join(folder, path))
        if isinstance(found, str):
            broken.append(f"{printable(path)} {found}")
        else:
            paths.append(path)
            digest.update(_stamp(path, found))
    searched = [f"{printable(str(e.filename))} cannot be searched ({e.strerror})" for e in errors]
    unreadable = searched + broken
    if not paths and unreadable:
        raise TigonError(f"data '{folder}': nothing in it can be read; {unreadable[0]}")
    if not paths:
        raise TigonError(f"data '{folder}': no images in this folder (such as .jpg or .png)")
    digest.update("\n".join(unreadable).encode())
    return FileSource(folder, paths, digest.hexdigest(), unreadable)


def _digest(root: Path) -> Any:  # noqa: ANN401
    return hashlib.sha256(os.fsencode(root.resolve()))


def _stamp(path: str, found: os.stat_result) -> bytes:
    return os.fsencode(path) + b"\0%d\0%d\n" % (found.st_size, found.st_mtime_ns)


def _stat(path: str) -> os.stat_result | str:
    """Return a file's state, or why it cannot be opened: it is a broken link, or a pipe."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    return found if stat.S_ISREG(found.st_mode) else "is no file"


def _files(root: Path, errors: list[OSError]) -> Iterator[str]:
    """Yield the paths of all files below a folder in their order, each folder searched once.

    Arguments:
        errors: what could not be searched is added to it
    """
    seen = {os.path.realpath(root)}
    stack = [_listed(root, "", errors)]
    while stack:
        for path, is_folder in stack[-1]:
            if not is_folder:
                yield path
                continue
            place = os.path.realpath(os.path.join(root, path))
            if place not in seen:
                seen.add(place)
                stack.append(_listed(root, path, errors))
                break
        else:
            stack.pop()


def _listed(root: Path, folder: str, errors: list[OSError]) -> Iterator[tuple[str, bool]]:
    """Yield the paths of what is in a folder, by name, and whether each is a folder.

    Of a million entries only the names are kept.
    """
    names: list[str] = []
    folders: set[str] = set()
    try:
        with os.scandir(os.path.join(root, folder) if folder else root) as found:
            for entry in found:
                if not entry.name.startswith("."):
                    names.append(entry.name)
                    if _is_folder(entry):
                        folders.add(entry.name)
    except OSError as error:
        errors.append(error)
    names.sort(key=None if all(map(str.isascii, names)) else name_order)
    for name in names:
        yield os.path.join(folder, name), name in folders


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False
