"""The cache: every source is decoded once, into a folder of memory-mapped files.

It is in `$TIGON_CACHE` (else the user's cache folder), under a name that depends on the files'
names, sizes and times and on the requested form. An entry appears completely or not at all.
"""

import hashlib
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tigon.data.cache_place import cache_folder, sweep
from tigon.data.form import Form
from tigon.data.names import Names, NamesWriter
from tigon.data.notes import Note, Notes, read_notes
from tigon.errors import TigonError
from tigon.files import npy_header, release_pages

if TYPE_CHECKING:  # image sets need no Pillow if no file is decoded
    from tigon.data.source import Labels, Source

SAMPLED = 4096  # about how many images a fingerprint covers
TOUCHED = 16  # images read before pages are released: reading one can map a megabyte


class Known(NamedTuple):
    """Hashes computed when an entry was written: its fingerprint, and that of its pixels."""

    fingerprint: str
    pixels: str


class Entry(NamedTuple):
    """The content of a cache folder: images uint8 (N, H, W, C), names, and what was left out.

    `pixels` is mapped from `file`. `labels` are int64 (N,), if there are any, and `classes` their
    names, if they have names. `notes` say what was passed over and what was converted.
    """

    pixels: np.ndarray
    names: Names
    skipped: list[str]
    known: Known
    file: FileIO
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    notes: Sequence[Note] = ()


def cached(source: "Source", form: Form) -> Entry:
    """Return a source's entry, creating it if there is none.

    Raises:
        TigonError: if no picture can be read, or the cache cannot be written or is damaged
    """
    folder = cache_folder() / source.key(form)
    try:
        there = (folder / "images.npy").is_file()
    except OSError as error:
        raise TigonError(
            f"image cache {folder} cannot be read; set TIGON_CACHE ({error})"
        ) from error
    if not there:
        _fill(folder, source, form)
    try:
        entry = _read(folder, form)
        return entry._replace(notes=[*source.notes, *entry.notes])
    except Exception as error:  # readers of broken files raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TigonError(f"image cache {folder} is damaged; delete it ({reason})") from error


def known_fingerprint(known: Known | None, names: Iterable[str], pixels: np.ndarray) -> str:
    """Return the known fingerprint if the pixels have not changed; otherwise a new one."""
    if known is not None and pixels_fingerprint(pixels) == known.pixels:
        return known.fingerprint
    return fingerprint(names, pixels)


def fingerprint(names: Iterable[str], pixels: np.ndarray) -> str:
    """Return a hash of the names, the form and a few thousand of the images."""
    digest = hashlib.sha256(b"[[")  # the rest is JSON, so that it can be hashed in parts
    for row, name in enumerate(names):
        digest.update(b", " * (row > 0) + json.dumps(name).encode())
    digest.update(f"], {json.dumps(pixels.shape)}]".encode())
    return _add_sample(digest, pixels)


def pixels_fingerprint(pixels: np.ndarray) -> str:
    """Return a hash of the form and a few thousand of the images."""
    return _add_sample(hashlib.sha256(json.dumps(pixels.shape).encode()), pixels)


def _add_sample(digest: Any, pixels: np.ndarray) -> str:  # noqa: ANN401
    every = max(1, len(pixels) // SAMPLED)
    for number, row in enumerate(range(0, len(pixels), every)):
        digest.update(pixels[row].tobytes())
        if number % TOUCHED == 0:
            release(pixels)
    return digest.hexdigest()[:16]


def release(pixels: np.ndarray) -> None:
    """Release a file's mapped pages; the system's cache may keep them."""
    area = getattr(pixels, "_mmap", None)
    if area is not None:
        release_pages(area)


def _read(folder: Path, form: Form) -> Entry:
    """Open what `_fill` wrote.

    Raises:
        Exception: of any kind, if it is something else
    """
    about = json.loads((folder / "about.json").read_text("utf-8"))
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    file = (folder / "images.npy").open("rb", buffering=0)
    labels, classes = None, tuple(map(str, about["classes"]))
    if (folder / "labels.npy").is_file():
        labels = np.load(folder / "labels.npy")
        if labels.shape != (len(pixels),) or labels.dtype != np.int64:
            raise ValueError(f"labels are {labels.dtype} {labels.shape}")
    known = Known(*about["known"])
    notes, skipped = read_notes(about["notes"]), list(about["skipped"])
    entry = Entry(pixels, Names(folder), skipped, known, file, labels, classes, notes)
    shape = (len(entry.names), *form.shape)
    if pixels.shape != shape or pixels.dtype != np.uint8 or not len(pixels):
        raise ValueError(f"{pixels.dtype} {pixels.shape}, not uint8 {shape}")
    return entry


def _fill(folder: Path, source: "Source", form: Form) -> None:
    """Decode a source into a cache folder."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    except OSError as error:
        raise TigonError(
            f"image cache {folder.parent} cannot be written; set TIGON_CACHE ({error})"
        ) from error
    try:
        labels = source.labels()
        notes = Notes()
        skipped = _decode(work, source, form, labels, notes)
        classes = labels.classes if labels else ()
        about = {
            "skipped": skipped,
            "known": _known(work),
            "classes": classes,
            "notes": list(notes),
        }
        (work / "about.json").write_text(json.dumps(about), encoding="utf-8")
        if not folder.exists():
            work.chmod(0o777 & ~_umask())  # mkdtemp's is its owner's alone, and caches are shared
            work.rename(folder)
    except OSError as error:
        if not folder.exists():
            raise TigonError(f"image cache {folder.parent} cannot be written ({error})") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _umask() -> int:
    """Return which permissions new files of this process do not have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _known(folder: Path) -> tuple[str, str]:
    """Return the hashes of an entry and close its files: Windows cannot move open ones."""
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    return fingerprint(Names(folder), pixels), pixels_fingerprint(pixels)


def _decode(
    folder: Path, source: "Source", form: Form, labels: "Labels | None", notes: Notes
) -> list[str]:
    """Write the readable pictures of a source, their names and labels; return what failed.

    Other remarks are added to `notes`.

    Rows are appended by plain writes, so that a full disk is an error; in a memory map it is not.
    """
    names, skipped, taken = NamesWriter(folder), list(source.unreadable), array("q")
    brightest = 0
    with (folder / "images.npy").open("w+b") as file:
        start = file.write(npy_header((0, *form.shape), "|u1"))
        for number, name, found in source.pictures(form):
            if isinstance(found, str):
                skipped.append(f"{name} {found}")
                continue
            if form.alpha and not found.pixels[..., -1].any():
                raise TigonError(
                    f"--mask alpha: {name} is transparent everywhere, so that nothing of it was "
                    "observed; leave it out"
                )
            file.write(found.pixels.tobytes())
            names.append(name)
            taken.append(number)
            brightest = max(brightest, int(found.pixels.max()))
            for note in found.notes:
                notes.add(note._replace(first=name))
        if not len(names):
            raise TigonError(f"data: none of {len(skipped)} images can be read; {skipped[0]}")
        file.seek(0)
        if file.write(npy_header((len(names), *form.shape), "|u1")) != start:
            raise AssertionError("the header of a .npy changed its length")
    names.close()
    notes.add(Note("brightest", largest=brightest))
    if labels is not None:
        values = labels.values[np.frombuffer(taken, np.int64)]
        np.save(folder / "labels.npy", values)
    return skipped
