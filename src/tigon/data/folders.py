"""Picture files: all those below a folder, in order of name, or a single one."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tigon.data.conversion import Decoded
from tigon.data.form import Form
from tigon.data.formats import endings, passed_over
from tigon.data.notes import Note, Notes, said
from tigon.data.pictures import decode_file, decode_frames, open_clipped, reason
from tigon.data.source import Labels, Source
from tigon.data.walk import Pattern, Walk
from tigon.errors import TigonError
from tigon.files import name_order, printable


class FileSource(Source):
    """Picture files below one folder.

    Arguments:
        root: the folder
        paths: paths of the files below it, in order
        stamp: text that changes when a file does
        unreadable: what in the folder cannot be opened, and why
        notes: what in the folder was passed over or left out
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        stamp: str,
        unreadable: Sequence[str] = (),
        notes: Sequence[Note] = (),
    ) -> None:
        self.root, self.paths, self.stamp = root, paths, stamp
        self.unreadable, self.notes = unreadable, notes

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        """Return a hash of every file's name, size and modification time."""
        return self.stamp

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each file's name and path."""
        return ((printable(path), os.path.join(self.root, path)) for path in self.paths)

    def decode(self, item: str, form: Form) -> Decoded | str:
        """Decode one file."""
        return decode_file(item, form)

    def decode_frames(self, item: str, form: Form) -> Iterator[tuple[str, Decoded | str]]:
        """Yield every page or frame of one file."""
        return decode_frames(partial(open_clipped, item), form)

    def labels(self) -> Labels | None:
        """Return each picture's subfolder as its class, if all are in subfolders."""
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
    """Return the source of all pictures below a folder, each visited only once.

    Raises:
        TigonError: if there is none
    """
    source = pictures_of(Walk(folder))
    if not len(source) and source.unreadable:
        first = source.unreadable[0]
        raise TigonError(f"data '{folder}': nothing in it can be read; {first}")
    if not len(source):
        why = what_else(source)
        raise TigonError(f"data '{folder}': no images in this folder (such as .jpg or .png){why}")
    return source


def open_pattern(pattern: str) -> tuple[FileSource, list[str]]:
    """Return the pictures that match a pattern, and the paths of matching folders and archives."""
    found = Pattern(pattern)
    if not found.root.is_dir():
        return FileSource(found.root, [], ""), []
    walk = Walk(found.root, found)
    source = pictures_of(walk)
    return source, [os.path.join(walk.root, path) for path in walk.shards]


def pictures_of(walk: Walk) -> FileSource:
    """Return the source of all pictures that a walk finds, possibly none."""
    paths: list[str] = []
    broken: list[str] = []
    passed = Notes()
    digest = _digest(walk.root)
    for path in walk:
        if os.path.splitext(path)[1].lower() not in endings():
            if ending := passed_over(os.path.basename(path)):
                passed.add(Note("passed over", ending, first=printable(path)))
            continue
        found = _stat(os.path.join(walk.root, path))
        if isinstance(found, str):
            broken.append(f"{printable(path)} {found}")
        else:
            paths.append(path)
            digest.update(_stamp(path, found))
    failed = (
        f"{printable(str(e.filename))} cannot be searched ({e.strerror})" for e in walk.errors
    )
    unreadable = [*failed, *broken]
    digest.update("\n".join(unreadable).encode())
    return FileSource(walk.root, paths, digest.hexdigest(), unreadable, [*passed, *walk.notes])


def what_else(source: FileSource) -> str:
    """Return in words what was found instead of pictures."""
    return "".join(f"; {line}" for line in (*source.unreadable[:1], *said(source.notes)))


def _digest(root: Path) -> Any:  # noqa: ANN401
    return hashlib.sha256(os.fsencode(root.resolve()))


def _stamp(path: str, found: os.stat_result) -> bytes:
    return os.fsencode(path) + b"\0%d\0%d\n" % (found.st_size, found.st_mtime_ns)


def _stat(path: str) -> os.stat_result | str:
    """Return a file's status, or why it cannot be opened: a broken link, or a pipe."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    return found if stat.S_ISREG(found.st_mode) else "is not a regular file"
