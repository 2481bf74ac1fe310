"""Only one process at a time, or those of one torchrun, may write in a run folder.

While a run is written, RUN/.lock names the writer, and the system holds a lock on it that ends
with the process, however it ends. Readers ignore it. Other machines see the lock if the file
system supports that, as NFS and CephFS do; if it may not, a warning says so.
"""

import errno
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tigon.errors import TigonError
from tigon.files import printable, writing

NAME = ".lock"
TRIES = 100
FAR = 2**30  # the byte locked on Windows, where locked bytes cannot be read
LONGEST = 300  # bytes that name the writer
TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
LOCAL_KINDS = ("fuse", "9p", "virtiofs", "afs", "vboxsf")
LOCAL_OPTIONS = {"nolock", "local_lock=all", "local_lock=flock", "nobrl", "localflock"}
OCTAL = re.compile(r"\\(\d{3})")
UNGUARDED = "nothing keeps another process from writing in it"
_held: set[int] = set()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock on a run folder, so that no other process writes in it, inside the block.

    A warning says if this cannot be guaranteed.

    Raises:
        TigonError: if another process holds it; it says which, and on which machine
    """
    path = folder / NAME
    with writing(folder):
        handle = _taken(folder, path)
    _held.add(handle)
    try:
        with suppress(OSError):  # the disk is full: the lock holds anyway
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        _held.discard(handle)
        _remove(handle, path)


def _remove(handle: int, path: Path) -> None:
    """Remove the lock file, unless another process now owns it, and release the lock."""
    own = _same(handle, path)
    if own and sys.platform != "win32":
        with suppress(OSError):
            path.unlink()
    os.close(handle)
    if own and sys.platform == "win32":  # where nobody can remove an open file
        with suppress(OSError):
            path.unlink()


def _same(handle: int, path: Path) -> bool:
    """Return whether a path still refers to this open file."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _taken(folder: Path, path: Path) -> int:
    """Return the locked lock file.

    Raises:
        OSError: if it cannot be created
        TigonError: if another process has locked it
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(TRIES):
        handle = os.open(path, flags, 0o666)
        if not _locked(handle, folder):
            who = os.read(handle, LONGEST).decode("utf-8", "replace").strip()
            os.close(handle)
            raise TigonError(
                f"run {folder}: {printable(who) or 'another process'} is training it; wait until "
                "that has ended, or stop it"
            )
        if _same(handle, path):
            return handle
        os.close(handle)  # another process has just removed it
    raise OSError(errno.EAGAIN, "is removed again and again", str(path))


def _locked(handle: int, folder: Path) -> bool:
    """Lock an open file, or warn that it cannot be; False if another process has locked it."""
    try:
        lock_file(handle)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        _warn(folder, f"its file system has no locks ({error.strerror})")
    except ImportError:
        _warn(folder, "this system has no locks")
    else:
        if (kind := _stays_here(folder)) is not None:
            _warn(folder, f"other machines may not see a lock on {kind}")
    return True


def lock_file(handle: int) -> None:
    """Lock an open file for this process only, without waiting.

    Raises:
        OSError: if another process has locked it, or the file system has no locks
        ImportError: if the operating system has none
    """
    try:
        import fcntl
    except ImportError:
        import msvcrt  # on Windows

        os.lseek(handle, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _warn(folder: Path, why: str) -> None:
    said = f"run {printable(str(folder))}: {why}, so {UNGUARDED}"
    warnings.warn(said, RuntimeWarning, stacklevel=2)


def _stays_here(folder: Path) -> str | None:
    """Return the kind of a folder's file system, if Linux keeps its locks on this machine."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    return local_locks(lines, folder.resolve())


def local_locks(mounts: list[str], folder: Path) -> str | None:
    """Return the kind of a folder's file system, if its locks stay on one machine.

    Arguments:
        mounts: lines of Linux's mountinfo
        folder: the folder, without links
    """
    deepest, found = -1, None
    for line in mounts:
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        if len(fields) < 6 or len(rest) < 3:
            continue
        place = Path(OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        if folder.is_relative_to(place) and len(place.parts) >= deepest:
            deepest, kind = len(place.parts), rest[0]
            options = {*fields[5].split(","), *rest[2].split(",")}
            local = kind.partition(".")[0] in LOCAL_KINDS or options & LOCAL_OPTIONS
            found = kind if local else None
    return found


def _let_go() -> None:
    """Release the locks in a forked process, which would otherwise hold them after its parent."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
