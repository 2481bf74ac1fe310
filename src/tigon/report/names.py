"""The names of runs on a page with several of them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tigon.errors import TigonError


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Return a name for each folder: its own, with as many parents as make it unique.

    Raises:
        TigonError: if two of them are the same folder
    """
    paths = [folder.resolve() for folder in folders]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise TigonError(f"run {folders[number]}: is given twice; give each run once")
    lengths = [1] * len(paths)
    while True:
        names = [_end(path, length) for path, length in zip(paths, lengths, strict=True)]
        shared = {name for name, count in Counter(names).items() if count > 1}
        if not shared:
            return names
        lengths = [length + (name in shared) for name, length in zip(names, lengths, strict=True)]


def _end(path: Path, length: int) -> str:
    return "/".join(part.strip("/") for part in path.parts[-length:]) or "/"
