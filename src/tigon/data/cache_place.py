"""Where the cache of decoded images is, and how leftovers of killed processes are removed."""

import os
import shutil
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from tigon.errors import TigonError

DAY = 86400.0  # seconds without a write, after which an unfinished folder is abandoned
BEGUN = (".new-*", ".chains-*")  # unfinished folders, later renamed or removed


def cache_folder() -> Path:
    """Return where decoded images are kept: $TIGON_CACHE, else the user's cache folder.

    Without a writable home folder, it is in the temporary folder, and a warning says so.

    Raises:
        TigonError: if $TIGON_CACHE is not a path, or the folder belongs to another user
    """
    if asked := os.environ.get("TIGON_CACHE"):
        if "://" in asked:
            raise TigonError(f"TIGON_CACHE {asked}: is a URL; set it to a folder")
        return Path(os.path.expanduser(asked))
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(os.path.expanduser(shared)) / "tigon"
    home = Path(os.path.expanduser("~") if os.environ.get("HOME") != "" else "~")
    folder = home / ".cache" / "tigon"
    return folder if folder.is_dir() or _can_be_made(folder, home) else _temporary()


def sweep(folder: Path) -> None:
    """Remove leftovers of killed processes from the cache, a day after their last write."""
    for pattern in BEGUN:
        for path in folder.glob(pattern):
            with suppress(OSError):  # another process may be sweeping too
                parts = [path, *path.iterdir()]
                if max(part.stat().st_mtime for part in parts) < time.time() - DAY:
                    shutil.rmtree(path)


def _can_be_made(folder: Path, home: Path) -> bool:
    """Return whether a folder can be created below an existing absolute one."""
    if not home.is_absolute() or not home.is_dir():
        return False
    there = next(path for path in folder.parents if path.is_dir())
    return os.access(there, os.W_OK | os.X_OK)


@cache
def _temporary() -> Path:
    """Return this user's folder in the temporary folder, and warn about it once.

    Raises:
        TigonError: if it cannot be created, or belongs to another user
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"tigon-{user}"
    try:
        folder.mkdir(0o700, exist_ok=True)
        if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != user):
            raise TigonError(f"image cache {folder}: belongs to another user; set TIGON_CACHE")
    except OSError as error:
        raise TigonError(
            f"image cache {folder} cannot be made; set TIGON_CACHE ({error})"
        ) from error
    said = f"no writable home folder: decoded images are kept in {folder}"
    warnings.warn(f"{said}; set TIGON_CACHE to keep them elsewhere", RuntimeWarning, stacklevel=3)
    return folder
