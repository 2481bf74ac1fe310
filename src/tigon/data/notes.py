"""Notes: which data were passed over, left out or converted, counted and put into words."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from tigon.data.endings import GROUPS, group_of, remedy

DARK = 0.25  # of white: a whole set that is darker is probably a mistake


class Note(NamedTuple):
    """A note about some files, with their count.

    Attributes:
        kind: a key of `SAID`, or "passed over"
        detail: what distinguishes notes of one kind, such as an ending
        files: number of files
        first: name of the first one
        largest: largest of a number over the files, such as their brightest value
    """

    kind: str
    detail: str = ""
    files: int = 1
    first: str = ""
    largest: float = 0


class Notes:
    """A collection of notes; those of the same kind and detail are merged."""

    def __init__(self, notes: Iterable[Note] = ()) -> None:
        self._found: dict[tuple[str, str], Note] = {}
        for note in notes:
            self.add(note)

    def add(self, note: Note) -> None:
        """Add a note, or count it with an existing one."""
        known = self._found.get(note[:2])
        if known is not None:
            largest = max(known.largest, note.largest)
            note = known._replace(files=known.files + note.files, largest=largest)
        self._found[note[:2]] = note

    def __iter__(self) -> Iterator[Note]:
        return iter(self._found.values())


def read_notes(values: Any) -> list[Note]:  # noqa: ANN401
    """Return notes from the lists that were saved in a file.

    Raises:
        ValueError, TypeError: if they are not notes
    """
    notes = [Note(*value) for value in values]
    kinds = (str, str, int, str, int | float)
    for note in notes:
        if note.kind not in ORDER or not all(map(isinstance, note, kinds)):
            raise ValueError(f"a note of kind {note.kind!s:.40}")
    said(notes)
    return notes


def said(notes: Iterable[Note]) -> list[str]:
    """Return the notes as lines: first what is missing, then what was converted."""
    merged = sorted(Notes(notes), key=lambda note: ORDER.index(note.kind))
    passed = [note for note in merged if note.kind == "passed over"]
    lines = [SAID[note.kind](note) for note in merged if note.kind != "passed over"]
    dark = [note for note in merged if note.kind == "deep" and SAID["deep"](note)]
    lines = [line for line in lines if line and not (dark and line.startswith("no value "))]
    return [*_passed(passed), *lines]


def _passed(notes: list[Note]) -> Iterator[str]:
    for group in dict.fromkeys(group_of(note.detail) for note in notes):
        own = sorted(note for note in notes if group_of(note.detail) == group)
        total = sum(note.files for note in own)
        kinds = ", ".join(f"{n.files} {n.detail}" if len(own) > 1 else n.detail for n in own)
        yield f"passed over {many(total, GROUPS[group].name)} ({kinds}); {remedy(group)}"


def many(count: int, name: str) -> str:
    """Return a number of things in words."""
    plural = name.replace("picture ", "pictures ", 1) if "picture " in name else f"{name}s"
    return f"{count} {name if count == 1 else plural}"


def _which(note: Note, name: str = "picture") -> str:
    such = f", such as {note.first}" if note.files > 1 else f" ({note.first})"
    return f"{many(note.files, name)}{such}"


def _left_out(note: Note) -> str:
    return f"left out {_which(note, note.detail)}"


def _frames(note: Note) -> str:
    return (
        f"of {_which(note)}, the first of several pages or frames is read; --frames all reads "
        "every one"
    )


def _profile(note: Note) -> str:
    return f"converted to sRGB from a colour profile: {_which(note)}"


def _odd_profile(note: Note) -> str:
    return f"read as sRGB, with a colour profile that cannot be used: {_which(note)}"


def _exif(note: Note) -> str:
    return f"read as stored, with EXIF data that cannot be read: {_which(note)}"


def _floats(note: Note) -> str:
    return f"read as floats from 0 to {note.detail}: {_which(note)}"


def _deep(note: Note) -> str:
    """Say that integers use few of their levels; "" if they use enough."""
    white = 2 ** int(note.detail) - 1
    value = round(note.largest * white)
    if not 0 < note.largest <= DARK:
        return ""
    factor = 2 ** int(math.log2(white / value))
    return (
        f"nearly black: {_which(note)}, with values of {note.detail} bits, use no more than "
        f"{value} of {white}; multiply the values by {factor}"
    )


def _brightest(note: Note) -> str:
    if note.largest > 255 * DARK:
        return ""
    return (
        f"no value of the images is above {note.largest:.0f} of 255: they are nearly black; if "
        "white is another number in them, scale it to 255"
    )


def _missing(note: Note) -> str:
    most = percent(note.largest)
    return f"missing values, where it is transparent: {_which(note)}, at most {most} of one"


def percent(part: float) -> str:
    """Return a fraction as per cent, with three digits."""
    value = 100 * part
    return f"{value:.0f} %" if 99.5 <= abs(value) < 1e6 else f"{value:.3g} %"


SAID: dict[str, Callable[[Note], str]] = {
    "left out": _left_out,
    "frames": _frames,
    "profile": _profile,
    "odd profile": _odd_profile,
    "exif": _exif,
    "floats": _floats,
    "deep": _deep,
    "missing": _missing,
    "brightest": _brightest,
}
ORDER = ["passed over", *SAID]
