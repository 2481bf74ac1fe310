"""Hugging Face data sets: `hf:NAME` or `hf:NAME@SPLIT`, read by the package `datasets`.

A data set's code is never run. Pictures come as bytes and are decoded like any file.
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
    """The part after `hf:`: a name on the hub or a local folder, and the split."""

    name: str
    split: str

    @classmethod
    def of(cls, data: str) -> "Name":
        """Return the parts of `hf:NAME@SPLIT`; the split is train by default."""
        name, _, split = data.removeprefix(PREFIX).partition("@")
        if not name or data.endswith("@"):
            raise TigonError(
                f"data '{printable(data)}': give hf:NAME or hf:NAME@SPLIT, where NAME is a data "
                "set on huggingface.co or a local folder"
            )
        return cls(name, split or "train")

    @property
    def label(self) -> str:
        """Its last part, by which images are named whatever the current folder."""
        return printable(os.path.basename(self.name.rstrip("/")))

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}@{self.split}"


def resolve(data: str) -> str:
    """Return `hf:FOLDER` with the folder's full path; a name on the hub unchanged."""
    name = data.removeprefix(PREFIX).partition("@")[0]
    path = Path(name)
    return data.replace(name, str(path.resolve()), 1) if name and path.is_dir() else data


class Column(NamedTuple):
    """One split of a data set, and its column of pictures, not decoded.

    Attributes:
        rows: a `Dataset`, or an `IterableDataset`
        name: the column's name
        has_files: whether pictures may be separate files
        fingerprint: text that changes when the data set does; "" for a stream
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
        """Return a row's label; -1 if it has none, as in test sets with secret labels."""
        value = row.get(self.label) if self.label else None
        return -1 if value is None else int(value)

    def decode(self, cell: Any, form: Form) -> Decoded | str:  # noqa: ANN401
        """Decode one cell: bytes, or a file if the data set is a folder of pictures."""
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
        return None  # a path in a table could name any file on this machine


def _open_path(path: str) -> BinaryIO:
    """Open a file on this machine, in an archive (zip://...) or on the hub (hf://...)."""
    if "://" not in path:
        return open_clipped(path)
    from datasets.utils.file_utils import xopen

    with xopen(path, "rb") as file:
        return io.BytesIO(file.read())


class HubSource(Source):
    """Pictures of a data set that `datasets` keeps on disk."""

    def __init__(self, name: Name) -> None:
        self.name, self.column = name, open_column(name, streaming=False)

    def fingerprint(self) -> str:
        """Return the data set's own fingerprint, which changes with its content."""
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
    """Open a data set for indexing or as a stream.

    Raises:
        TigonError: if `datasets` is missing or cannot open it, or it has no pictures
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
    """Return the label column and its class names: a `ClassLabel`, or integers so named."""
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
    """Silence the libraries, as tigon reports errors, and show bars only on a terminal."""
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
