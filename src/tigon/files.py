"""Write files completely or not at all, and access single rows of large ones."""

import contextlib
import errno
import io
import mmap
import os
import shlex
import shutil
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tigon.errors import TigonError

# Not all systems have all of these.
AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
HIDDEN = ("Cc", "Cs", "Zl", "Zp")
SPARE = 256  # open files of a process besides those of its data


class FileRows(NamedTuple):
    """Rows of equal size in an open file, read and written one by one.

    Accessing a row of a mapped file causes a page fault, which maps up to a megabyte around it;
    reading it from the file costs no more in a large file than in a small one.

    Arguments:
        handle: the file's descriptor
        start: bytes before the first row
        size: bytes per row
        number: number of rows
    """

    handle: int
    start: int
    size: int
    number: int

    def read(self, rows: Sequence[int]) -> bytearray:
        """Return these rows, one after another.

        Raises:
            IndexError: if there is no such row
            OSError: if the file cannot be read, or has become shorter
        """
        parts = [_read_at(self.handle, self.size, place) for place in self._places(rows)]
        found = bytearray().join(parts)
        if len(found) != self.size * len(rows):
            raise OSError(errno.EIO, "has become shorter while it was in use")
        return found

    def write(self, rows: Sequence[int], content: bytes) -> None:
        """Write `content` into these rows.

        Raises:
            IndexError: if there is no such row; nothing is written then
            OSError: if writing fails
        """
        for k, place in enumerate(self._places(rows)):
            part = content[k * self.size : (k + 1) * self.size]
            if _write_at(self.handle, part, place) != self.size:
                raise OSError(errno.ENOSPC, "could not be written")

    def _places(self, rows: Sequence[int]) -> list[int]:
        if rows and (isinstance(rows[0], bool) or not 0 <= min(rows) <= max(rows) < self.number):
            raise IndexError(f"rows {min(rows)} to {max(rows)} of {self.number}, by number")
        return [self.start + row * self.size for row in rows]


def npy_header(shape: Sequence[int], dtype: str) -> bytes:
    """Return the header of a `.npy` file (format 1.0), with room for more rows.

    Arguments:
        shape: shape of the array, rows first
        dtype: type such as '<f4'
    """
    import numpy as np  # imported here to keep `tigon --help` fast

    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _read_at(handle: int, size: int, place: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(handle, size, place)
    os.lseek(handle, place, os.SEEK_SET)  # on Windows
    return os.read(handle, size)


def _write_at(handle: int, content: bytes, place: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(handle, content, place)
    os.lseek(handle, place, os.SEEK_SET)
    return os.write(handle, content)


def release_pages(area: mmap.mmap) -> None:
    """Release a file's mapped pages; written data are in the file or the system's cache."""
    if hasattr(area, "madvise"):  # not on Windows, which does so by itself
        area.madvise(mmap.MADV_DONTNEED)


def flush_to_disk(path: Path) -> None:
    """Flush a file or a folder to disk.

    Raises:
        OSError: if that fails
    """
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) under another name, flush it, then rename it to `path`.

    A link at either name is replaced, never followed. If it fails, nothing is left behind.

    Raises:
        OSError: if writing fails; it names the file
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    work = path.with_name(f".new-{path.name}")
    try:
        work.unlink(missing_ok=True)
        with work.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        work.replace(path)
    except OSError as error:
        raise named(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            work.unlink(missing_ok=True)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading: a pipe would block, a device might never end.

    Raises:
        OSError: if it cannot be opened, or is not a regular file
    """
    file = open(os.open(path, os.O_RDONLY | AT_ONCE), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return file


def subfolder(folder: Path, name: str) -> Path:
    """Return `folder`/`name`, for writing.

    Raises:
        OSError: if it is a link that leads outside `folder`
    """
    path = folder / name
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise OSError(
            errno.ELOOP, f"is a link that leads outside {folder}; link the run folder itself", path
        )
    return path


def is_writable(folder: Path) -> bool:
    """Return whether files can be created in a folder, not another user's or read-only."""
    return os.access(folder, os.W_OK | os.X_OK)


def named(error: OSError, path: Path) -> OSError:
    """Return the error with the file's name, which errors from writing lack."""
    if error.filename is not None or error.errno is None:
        return error
    return OSError(error.errno, error.strerror, str(path))


def refusal(error: BaseException) -> str:
    """Return in words why writing failed, and what to do if the disk is full."""
    if not isinstance(error, OSError) or error.strerror is None:
        said = " ".join(str(error).split()) or type(error).__name__
    else:
        said = error.strerror + (f": {printable(str(error.filename))}" if error.filename else "")
    if "No space left" in said or "quota exceeded" in said.lower():
        said += "; free some space, and the same command goes on"
    return said


def name_order(name: str) -> tuple[str, str]:
    """Return a file name's sort key: accents are one character (NFC) or two (NFD, on a Mac).

    Names without accents are sorted as usual.
    """
    return unicodedata.normalize("NFC", name), name


def printable(name: str) -> str:
    """Return a file's name as one line of valid UTF-8, whatever its bytes."""
    return "".join(_escaped(c) if unicodedata.category(c) in HIDDEN else c for c in name)


def allow_open_files(more: int) -> None:
    """Let this process open so many more files, as far as the system allows it."""
    try:
        import resource  # not on Windows, where there is no such limit
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SPARE + more if hard == resource.RLIM_INFINITY else min(SPARE + more, hard)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        with contextlib.suppress(ValueError, OSError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def in_shell(path: str | os.PathLike[str]) -> str:
    """Return a path as a word of a command: quoted if need be, and never like an option."""
    name = printable(os.fspath(path))
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def is_utf8(name: str) -> bool:
    """Return whether a file's name is valid UTF-8."""
    return not any(unicodedata.category(c) == "Cs" for c in name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn write errors in a run folder into one line that says the last checkpoint is intact.

    Raises:
        TigonError: if the block raises an OSError
    """
    try:
        yield
    except OSError as error:
        raise TigonError(
            f"run {folder}: cannot be written ({refusal(error)}); the last checkpoint is intact"
        ) from error


def check_folder(folder: Path) -> None:
    """Refuse a new folder that cannot be created.

    Raises:
        TigonError: if it exists and is not an empty folder, or cannot be written there
    """
    try:
        if not folder.name or folder.is_symlink():
            raise TigonError(f"folder {folder}: has no name of its own; give a new folder")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise TigonError(f"folder {folder}: exists and is not an empty folder; give another")
        with parents_made(folder, keep=False):
            pass
    except OSError as error:
        raise TigonError(f"folder {folder}: cannot be written ({error})") from error


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write a new folder with these files, by name.

    Raises:
        TigonError: if it exists and is not an empty folder, or writing fails
    """
    check_folder(folder)
    try:
        with parents_made(folder), written_beside(folder) as work:
            work.mkdir()
            for name, content in files.items():
                with (work / name).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
    except OSError as error:
        raise TigonError(f"folder {folder}: cannot be written ({error})") from error


@contextmanager
def parents_made(path: Path, keep: bool = True) -> Iterator[None]:
    """Create the folders that `path` is to be in; if the block fails, remove them again.

    Arguments:
        keep: whether they stay; otherwise this only finds out whether they can be created
    Raises:
        OSError: if they cannot be created
    """
    missing = [folder for folder in path.parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        keep = False
        raise
    finally:
        for folder in [] if keep else missing:
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless something is in it


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, which replaces it once everything is written."""
    work = path.with_name(f".new-{path.name}")
    try:
        _remove_left(work)
        yield work
        work.replace(path)
    finally:
        with contextlib.suppress(OSError):
            _remove_left(work)


def _remove_left(work: Path) -> None:
    """Remove what a killed write left behind; if it is a link, only the link."""
    if work.is_dir() and not work.is_symlink():
        shutil.rmtree(work)
    else:
        work.unlink(missing_ok=True)
