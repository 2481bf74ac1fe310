"""The files that data, masks, runs and model folders are read from: no output replaces them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tigon.data.folders import FileSource, open_pattern
from tigon.data.sources import ArraySource, is_named, is_pattern, open_source
from tigon.errors import TigonError
from tigon.models.folder import FILES, is_model_folder
from tigon.runs.run import Run


def is_read(path: Path, given: str | Path) -> bool:
    """Return whether a file is one of those that an input is read from, by whatever name.

    Of a run these are also its training images and their masks.

    Arguments:
        path: the file; if there is none, it is not
        given: data, a mask, a run or a model folder, as it was given
    """
    with contextlib.suppress(OSError, ValueError):  # from names that no file can have
        if path.is_file():
            found = path.stat()
            files = (file.stat() for file in _files(given) if file.exists())
            return any(os.path.samestat(found, file) for file in files)
    return False


def _files(given: str | Path) -> Iterator[Path]:
    folder = Path(given)
    if is_model_folder(folder):
        yield from (folder / name for name in FILES)
    elif Run(folder).config.is_file():
        yield from _of_run(Run(folder))
    else:
        yield from _of_data(str(given))


def _of_run(run: Run) -> Iterator[Path]:
    yield from (run.folder / "snapshots").glob("*.npz")
    with contextlib.suppress(TigonError):  # a damaged run, which the command itself refuses
        values = run.plain_config()
        for name in ("data", "mask"):
            yield from _of_data(str(values.get(name, "")))


def _of_data(data: str) -> Iterator[Path]:
    """Yield pictures and archives; nothing if they cannot be read, which the command refuses."""
    if is_named(data):
        return
    with contextlib.suppress(TigonError, OSError, ValueError):
        if is_pattern(data):
            source, shards = open_pattern(data)
            yield from _of_source(source)
            for shard in shards:
                yield from _of_data(shard)
        else:
            yield from _of_source(open_source(data))


def _of_source(source: object) -> Iterator[Path]:
    if isinstance(source, FileSource):
        yield from (Path(source.root, path) for path in source.paths)
    elif isinstance(source, ArraySource):
        yield source.path
