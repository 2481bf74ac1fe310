"""The interface of image sources: a fingerprint, and the pictures in order."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from tigon.data.conversion import Decoded
from tigon.data.form import Form
from tigon.data.formats import formats
from tigon.data.notes import Note
from tigon.data.pictures import decode_all, reading

VERSION = 5  # version of the cache format


class Labels(NamedTuple):
    """A class number for each picture, int64 (N,), and the class names by number, if any."""

    values: np.ndarray
    classes: tuple[str, ...] = ()


class Source(ABC):
    """Pictures that can be read one after another, each with a name.

    Attributes:
        unreadable: what could not be searched or opened, and why
        notes: what was passed over or left out
    """

    unreadable: Sequence[str] = ()
    notes: Sequence[Note] = ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Return text that changes when the pictures do."""

    def __len__(self) -> int:
        """Return the number of pictures, readable or not."""
        return sum(1 for _ in self.items())

    @abstractmethod
    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each picture's name, and the item for `decode`."""

    @abstractmethod
    def decode(self, item: Any, form: Form) -> Decoded | str:  # noqa: ANN401
        """Return a picture in this form, or why it cannot be read."""

    def decode_frames(
        self,
        item: Any,  # noqa: ANN401
        form: Form,
    ) -> Iterator[tuple[str, Decoded | str]]:
        """Yield every page or frame of a picture, with a suffix for its name."""
        yield "", self.decode(item, form)

    def labels(self) -> Labels | None:
        """Return the class of each picture of `items`; None if they have none."""
        return None

    def pictures(self, form: Form) -> Iterator[tuple[int, str, Decoded | str]]:
        """Yield each image: its number among `items`, its name, and it or why there is none."""
        if form.frames == "first":
            for number, (name, found) in enumerate(self._decoded(form)):
                yield number, name, found
            return
        with reading(form):
            for number, (name, item) in enumerate(self.items()):
                for part, found in self.decode_frames(item, form):
                    yield number, f"{name}{part}", found

    def _decoded(self, form: Form) -> Iterator[tuple[str, Decoded | str]]:
        return decode_all(self.items(), self.decode, form)

    def key(self, form: Form) -> str:
        """Return a name for the cached copy of this source in this form."""
        text = json.dumps([VERSION, self.fingerprint(), asdict(form), formats()])
        return hashlib.sha256(text.encode()).hexdigest()[:24]
