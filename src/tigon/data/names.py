"""Names of images, ten or a million, in files from which they are read on demand."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np


class Names(Sequence[str]):
    """The names in a folder: `names.txt`, one per line, and `names.npy`, where each line begins.

    Raises:
        ValueError: if the two do not belong together
    """

    def __init__(self, folder: Path) -> None:
        self._starts = np.load(folder / "names.npy")
        self._text = np.memmap(folder / "names.txt", np.uint8, "r")
        starts = self._starts
        if (
            starts.dtype != np.int64
            or starts.ndim != 1
            or starts[[0, -1]].tolist()
            != [
                0,
                len(self._text),
            ]
        ):
            raise ValueError("names.txt and names.npy do not belong together")

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one name, or a list of names for a slice."""
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        line = self._text[self._starts[row] : self._starts[row + 1]]
        return bytes(line).decode("utf-8", "replace").removesuffix("\n")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Names({self[:3]}{' and others' if len(self) > 3 else ''})"


class NamesWriter:
    """Writes names one by one for `Names` to read; `close` completes the files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.starts = folder, array("q", [0])
        self.text = (folder / "names.txt").open("wb")

    def __len__(self) -> int:
        return len(self.starts) - 1

    def append(self, name: str) -> None:
        """Add a name, which must have no line breaks."""
        self.starts.append(self.starts[-1] + self.text.write(f"{name}\n".encode()))

    def close(self) -> None:
        """Write where the names begin, and close the files."""
        self.text.close()
        np.save(self.folder / "names.npy", np.frombuffer(self.starts, np.int64))
