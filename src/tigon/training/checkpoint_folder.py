"""The checkpoints that a run keeps, the last few and the best, and how to select one of them.

A checkpoint is a folder N with a `manifest.json`: the SHA-256 of each of its files and, if it was
measured, the mean of the learner's measure over the iterations that it covers.
"""

import hashlib
import json
import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from tigon.errors import TigonError
from tigon.files import open_regular

FILES = ("model.safetensors", "chains.safetensors", "training.pt")
OTHERS = re.compile(r"live\.safetensors|(chains|good-\d)/(points\.npy|store\.json)")
BROKEN = (OSError, ValueError, KeyError, TypeError, RecursionError)


def find_checkpoint(folder: Path, which: str = "last") -> Path:
    """Return the checkpoint named `last`, `best` or by its number; it is complete.

    Raises:
        TigonError: if there is none with that name, or it is damaged; it lists the existing ones
    """
    found = latest_checkpoint(folder) if which == "last" else None
    if which == "best":
        for path in numbered(folder):
            if _manifest(path) is None:
                print(f"tigon: checkpoint {path} is damaged; it is passed over", file=sys.stderr)
        found = best_checkpoint(folder)
    elif which.isdecimal() and which.isascii():
        found = next((path for path in numbered(folder) if int(path.name) == int(which)), None)
    if found is None:
        raise TigonError(f"--checkpoint {which}: {_missing(folder, which)}")
    reason = damage(found)
    if reason is not None:
        raise TigonError(f"checkpoint {found} is damaged ({reason}); {listed(folder)}")
    return found


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a run, or None if there is none at all.

    A damaged one is reported on stderr, and the previous one is used.

    Raises:
        TigonError: if all are damaged
    """
    damaged: list[str] = []
    for path in reversed(numbered(folder)):
        reason = damage(path)
        if reason is None:
            for said in damaged:
                print(f"tigon: {said}; the one before, {path.name}, is used", file=sys.stderr)
            return path
        damaged.append(f"checkpoint {path} is damaged ({reason})")
    if damaged:
        raise TigonError(f"{damaged[0]}, and there is no whole one before; start a new run")
    return None


def best_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the lowest measure, the later of equal ones, or None."""
    found = [(value, path) for path in numbered(folder) if (value := measured(path)) is not None]
    return min(reversed(found), key=lambda pair: pair[0])[1] if found else None


def measured(path: Path) -> float | None:
    """Return the measure of a checkpoint, or None if it was not measured."""
    found = (_manifest(path) or {}).get("measure")
    values = list(found.values()) if isinstance(found, dict) else []
    sound = len(values) == 1 and type(values[0]) is float and math.isfinite(values[0])
    return values[0] if sound else None


def tidy(folder: Path, keep: int, newest: int) -> None:
    """Delete all checkpoints except the last `keep` up to iteration `newest`, and the best one.

    Later ones belong to iterations that were rolled back.
    """
    for path in numbered(folder):
        if int(path.name) > newest:
            remove(path)
    best = best_checkpoint(folder)
    for path in numbered(folder)[:-keep]:
        if path != best:
            remove(path)


def remove(path: Path) -> None:
    """Delete a file, a folder, or a link, never the target of a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's files, or None if they are complete."""
    try:
        sums = _read(path)["sha256"]
        odd = [name for name in sums if name not in FILES and not OTHERS.fullmatch(name)]
        if odd:
            raise ValueError(f"it names {odd[0][:80]!r}")
        wrong = [name for name in {*FILES, *sums} if checksum(path / name) != sums[name]]
    except BROKEN as error:
        return f"no valid manifest: {type(error).__name__} {error}"
    return f"wrong checksum of {', '.join(wrong)}" if wrong else None


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def numbered(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, in the order of their iterations."""
    if not folder.is_dir():
        return []
    names = (path for path in folder.iterdir() if path.name.isdecimal() and path.name.isascii())
    return sorted(names, key=lambda path: int(path.name))


def listed(folder: Path) -> str:
    """Return the existing checkpoints, in words."""
    best = best_checkpoint(folder)
    names = [path.name + (" (the best)" if path == best else "") for path in numbered(folder)]
    return f"there are {', '.join(names)}" if names else "there is none yet; train first"


def _missing(folder: Path, which: str) -> str:
    if which == "last" or not numbered(folder):
        return "there is no checkpoint yet; train first"
    if which == "best":
        return f"none of the checkpoints was measured; {listed(folder)}"
    known = which.isdecimal() and which.isascii()
    return f"is {'none of the checkpoints' if known else 'not last, best or a number'}; " + listed(
        folder
    )


def _manifest(path: Path) -> dict[str, Any] | None:
    """Return the content of a manifest, or None if it cannot be read."""
    try:
        found = _read(path)
    except BROKEN:
        return None
    return found if isinstance(found, dict) else None


def _read(path: Path) -> Any:  # noqa: ANN401
    with open_regular(path / "manifest.json") as file:
        return json.loads(file.read().decode("utf-8"))
