"""Data sets of Hugging Face: `hf:NAME` or `hf:NAME@SPLIT`, read by its package `datasets`.

No code of a data set is ever run. Pictures come as bytes, and are decoded as any file is.
"""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tigon.data.conversion import Decoded
from tigon.data.form import Form
from tigon.data.pictures import Opener, decode_frames, decode_picture, open_clipped, reason
from tigon.data.source import Labels, Source
from tigon.errors import TigonError, install
from tigon.files import printable

PREFIX = "hf:"
LOGGERS = ("datasets", "huggingface_hub")


class Name(NamedTuple):
    """What follows `hf:`, a name on the hub or a local folder, and the split."""

    name: str
    split: str

    @classmethod
    def of(cls, data: str) -> "Name":
        """Return the parts of `hf:NAME@SPLIT`; the split is train if it is not given."""
        name, _, split = data.removeprefix(PREFIX).partition("@")
        if not name or data.endswith("@"):
            raise TigonError(
                f"data '{printable(data)}': give hf:NAME or hf:NAME@SPLIT, where NAME is a data "
                "set's on huggingface.co or a local folder"
            )
        return cls(name, split or "train")

    @property
    def label(self) -> str:
        """Its last part, which images are named by, from whatever folder it is seen."""
        return printable(os.path.basename(self.name.rstrip("/")))

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}@{self.split}"


def resolve(data: str) -> str:
    """Return `hf:FOLDER` with the folder's full path; a name on the hub as it is."""
    name = data.removeprefix(PREFIX).partition("@")[0]
    path = Path(name)
    return data.replace(name, str(path.resolve()), 1) if name and path.is_dir() else data


class Column(NamedTuple):
    """A data set of one split, and its column of pictures, which are not decoded.

    Attributes:
        rows: a `Dataset`, or an `IterableDataset`
        name: of the column
        has_files: whether pictures may be files of their own
        fingerprint: text that changes when the data set does; none of a stream
        label: the column of labels, if there is one
        classes: names of the labels by number, if they have names
    """

    rows: Any
    name: str
    has_files: bool
    fingerprint: str = ""
    label: str | None = None
    classes: tuple[str, ...] = ()

    def label_of(self, row: dict[str, Any]) -> int:
        """Return the label of a row; -1 where it has none, as for tests whose labels are kept."""
        value = row.get(self.label) if self.label else None
        return -1 if value is None else int(value)

    def decode(self, cell: Any, form: Form) -> Decoded | str:  # noqa: ANN401
        """Decode one cell: bytes, or where the data set is a folder of pictures, a file."""
        opener = self._opener(cell)
        return "has no picture" if opener is None else decode_picture(opener, form)

    def decode_frames(
        self,
        cell: Any,  # noqa: ANN401
        form: Form,
    ) -> Iterator[tuple[str, Decoded | str]]:
        """Yield every page or frame of one cell."""
        opener = self._opener(cell)
        if opener is None:
            yield "", "has no picture"
        else:
            yield from decode_frames(opener, form)

    def _opener(self, cell: Any) -> Opener | None:  # noqa: ANN401
        if isinstance(cell, dict) and cell.get("bytes") is not None:
            return partial(io.BytesIO, cell["bytes"])
        if isinstance(cell, dict) and cell.get("path") and self.has_files:
            return partial(_open_path, cell["path"])
        return None  # a path in a table could name any file of this machine


def _open_path(path: str) -> BinaryIO:
    """Open a file of this machine, of an archive (zip://...) or of the hub (hf://...)."""
    if "://" not in path:
        return open_clipped(path)
    from datasets.utils.file_utils import xopen

    with xopen(path, "rb") as file:
        return io.BytesIO(file.read())


class HubSource(Source):
    """Pictures of a data set, which `datasets` keeps on the disk."""

    def __init__(self, name: Name) -> None:
        self.name, self.column = name, open_column(name, streaming=False)

    def fingerprint(self) -> str:
        """Return the data set's own fingerprint, which changes when it does."""
        return f"{self.name}\0{self.column.name}\0{self.column.fingerprint}"

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each picture's number in the data set, and its cell."""
        for number, row in enumerate(self.column.rows):
            yield f"{self.name.label}[{number}]", row[self.column.name]

    def decode(self, item: Any, form: Form) -> Decoded | str:  # noqa: ANN401
        """Decode one cell."""
        return self.column.decode(item, form)

    def decode_frames(
        self,
        item: Any,  # noqa: ANN401
        form: Form,
    ) -> Iterator[tuple[str, Decoded | str]]:
        """Yield every page or frame of one cell."""
        return self.column.decode_frames(item, form)

    def labels(self) -> Labels | None:
        """Return the column of labels, if there is one."""
        if self.column.label is None:
            return None
        rows = self.column.rows.select_columns([self.column.label])
        values = np.fromiter(map(self.column.label_of, rows), np.int64, len(rows))
        return Labels(values, self.column.classes)


def open_column(name: Name, streaming: bool) -> Column:
    """Open a data set, to be indexed or as a stream.

    Raises:
        TigonError: if `datasets` is missing, or cannot open it, or it has no pictures
    """
    try:
        import datasets
    except ImportError as error:
        raise TigonError(
            f"data '{name}': needs Hugging Face's package datasets; install it with "
            f"{install('hf')}"
        ) from error
    try:
        with _quiet():
            rows = datasets.load_dataset(name.name, split=name.split, streaming=streaming)
    except Exception as error:  # of the network, of the hub, of readers of many formats
        raise TigonError(
            f"data '{printable(str(name))}': cannot be opened ({reason(error)}); give a data "
            "set's name on huggingface.co, or a local folder of its files"
        ) from error
    found = [key for key, kind in (rows.features or {}).items() if type(kind) is datasets.Image]
    if not found:
        columns = ", ".join(printable(str(key)) for key in rows.features or {})[:300]
        raise TigonError(
            f"data '{printable(str(name))}': has no column of images; it has {columns or 'none'}"
        )
    column = "image" if "image" in found else found[0]
    mark, has_files = getattr(rows, "_fingerprint", ""), rows.info.builder_name == "imagefolder"
    label, classes = _label_column(rows.features)
    wanted = [column, label] if label else [column]
    rows = rows.select_columns(wanted).cast_column(column, datasets.Image(decode=False))
    return Column(rows, column, has_files, mark, label, classes)


def _label_column(features: Any) -> tuple[str | None, tuple[str, ...]]:  # noqa: ANN401
    """Return the column of labels and their names: one of classes, or of integers so named."""
    import datasets

    named = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    if named:
        label = "label" if "label" in named else named[0]
        return label, tuple(printable(str(name)) for name in features[label].names)
    for key in ("label", "labels"):
        if str(getattr(features.get(key), "dtype", "")).startswith(("int", "uint")):
            return key, ()
    return None, ()


@contextmanager
def _quiet() -> Iterator[None]:
    """Let what goes wrong be said once, by tigon, and show bars on a terminal only."""
    import datasets

    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    bars = not datasets.are_progress_bars_disabled()
    try:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if bars and not os.isatty(2):
            datasets.disable_progress_bars()
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            datasets.enable_progress_bars()
