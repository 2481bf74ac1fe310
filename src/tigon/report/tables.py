"""Runs side by side in words: what differs, what they share, and what cannot be compared."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tigon.families import family_of
from tigon.families.base import Shown
from tigon.report.plates import Plate
from tigon.report.sections import Section, told_images
from tigon.runs.config import flat

NONE = "–"


class Entry(NamedTuple):
    """A run that is compared: its name on the page, what was opened, and its section."""

    name: str
    shown: Shown[Any, Any]
    section: Section


class Row(NamedTuple):
    """A row of a table: what it is about, and a cell for each run."""

    name: str
    cells: list[str]


class Comparison(NamedTuple):
    """What a page says of several runs together.

    Attributes:
        names: of the runs, in the order of the tables' columns
        measures: what they are and what came of them
        settings: those that differ
        notes: what has to be known before numbers are compared
        curves: each with all runs that have the measure
        rows: images of the same training images, one figure for each family and data set
        samples: a grid of each run, of equal count
    """

    names: list[str]
    measures: list[Row]
    settings: list[Row]
    notes: list[str]
    curves: list[Plate]
    rows: list[Plate]
    samples: list[tuple[str, Plate]]


def measures_of(entries: Sequence[Entry]) -> list[Row]:
    """Return the rows of the first table: what all have first, then what only some have."""
    told = [_told(entry) for entry in entries]
    names = list(dict.fromkeys(name for values in told for name in values))
    shared = [name for name in names if all(name in values for values in told)]
    others = [name for name in names if name not in shared]
    return [Row(name, [values.get(name, NONE) for values in told]) for name in shared + others]


def _told(entry: Entry) -> dict[str, str]:
    return {
        "recipe": entry.section.recipe,
        "data": entry.shown.run.experiment.data,
        "training images": told_images(entry.shown),
        "verdict": entry.section.diagnosis.verdict,
        **entry.section.results,
    }


def settings_of(entries: Sequence[Entry]) -> list[Row]:
    """Return the settings that differ between runs that could have had the same."""
    told = [flat(entry.shown.run.plain_config()) for entry in entries]
    nouns = [family_of(entry.shown.recipe).noun for entry in entries]
    names = dict.fromkeys(name for config in told for name in config)
    rows = [Row(name, [config.get(name, NONE) for config in told]) for name in names]
    rows = [row for row in rows if row.name not in ("recipe", "data")]
    return [row for row in rows if _differs(row, nouns)]


def _differs(row: Row, nouns: Sequence[str]) -> bool:
    """Return whether a setting differs between runs of kinds that have it."""
    having = {noun for noun, cell in zip(nouns, row.cells, strict=True) if cell != NONE}
    cells = {cell for noun, cell in zip(nouns, row.cells, strict=True) if noun in having}
    return len(cells) > 1


def notes_of(entries: Sequence[Entry]) -> list[str]:
    """Return what has to be known before the numbers of these runs are compared."""
    return [*_on_data(entries), *_on_families(entries), *_on_chance(entries)]


def by_data(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Group runs by the images that they learned from, whatever the folder was called."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.shown.images.fingerprint(), []).append(entry)
    return groups


def by_family(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Group runs by the noun of their family."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(family_of(entry.shown.recipe).noun, []).append(entry)
    return groups


def _on_data(entries: Sequence[Entry]) -> list[str]:
    groups = list(by_data(entries).values())
    if len(groups) == 1:
        return [f"All runs learned from the same {len(entries[0].shown.images)} images."]
    sources = {entry.shown.run.experiment.data for entry in entries}
    form = "in different forms (size, fit, channels or mirroring)"
    how = f"from the same source {form}" if len(sources) == 1 else "from different images"
    said = "; ".join(f"{_listed(group)}: {_data(group[0])}" for group in groups)
    return [
        f"These runs learned {how}: {said}. Numbers that depend on the images, such as a loss or "
        "a gap, do not say which of these runs is the better one."
    ]


def _data(entry: Entry) -> str:
    told = _told(entry)
    return f"{told['training images']} from {told['data']}"


def _on_families(entries: Sequence[Entry]) -> list[str]:
    groups = by_family(entries)
    if len(groups) == 1:
        return []
    said = [f"{_listed(group)} ({noun}): {_measured(group)}" for noun, group in groups.items()]
    return [
        f"Models of different kinds are measured by different things: {'; '.join(said)}. None of "
        f"these is drawn with another kind's in one figure, and a {NONE} in the table says that a "
        "run has no such number. What can be compared is what they cost and, by eye, their images."
    ]


def _measured(group: Sequence[Entry]) -> str:
    return ", ".join(m.title.lower() for m in family_of(group[0].shown.recipe).measures)


def _on_chance(entries: Sequence[Entry]) -> list[str]:
    """Say where nothing but the seed, or nothing at all, sets runs of one recipe apart."""
    rows = settings_of(entries)
    recipes = {entry.section.recipe for entry in entries}
    if len(recipes) > 1 or len(by_data(entries)) > 1:
        return []
    if [row.name for row in rows] == ["seed"]:
        return ["Only the seed differs: what these runs differ in is chance."]
    if not rows:
        return ["All settings are the same."]
    return []


def _listed(group: Sequence[Entry]) -> str:
    names = [entry.name for entry in group]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def records_by_measure(entries: Sequence[Entry]) -> Mapping[str, list[Entry]]:
    """Group runs by the names of the measures that they have; those of one run are left out."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        for measure in family_of(entry.shown.recipe).measures:
            groups.setdefault(measure.name, []).append(entry)
    return {name: group for name, group in groups.items() if len(group) > 1}
