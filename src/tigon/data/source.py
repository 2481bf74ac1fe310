"""What every source of images gives: a fingerprint, and its pictures in order."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from tigon.data.pictures import Form, decode_all

VERSION = 4  # of what the cache holds


class Labels(NamedTuple):
    """A class for each picture: its number, int64 (N,), and the names by number, if there are."""

    values: np.ndarray
    classes: tuple[str, ...] = ()


class Source(ABC):
    """Pictures that can be read one after another, each with a name.

    Attributes:
        unreadable: what could not be searched or opened, and why
    """

    unreadable: Sequence[str] = ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Return text that changes when the pictures do."""

    def __len__(self) -> int:
        """Return how many pictures there are, readable or not."""
        return sum(1 for _ in self.items())

    @abstractmethod
    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each picture's name and what `decode` takes."""

    @abstractmethod
    def decode(self, item: Any, form: Form) -> np.ndarray | str:  # noqa: ANN401
        """Return a picture in this form, uint8 (H, W, C), or why it cannot be read."""

    def labels(self) -> Labels | None:
        """Return the class of each picture of `items`; None where they have none."""
        return None

    def pictures(self, form: Form) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yield every picture's name, and the picture or why there is none."""
        return decode_all(self.items(), self.decode, form)

    def key(self, form: Form) -> str:
        """Return a name for the cached copy of this source in this form."""
        text = json.dumps([VERSION, self.fingerprint(), asdict(form)])
        return hashlib.sha256(text.encode()).hexdigest()[:24]
