"""Runs side by side in words: what differs, what they share, and what cannot be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tigon.learners.metrics import Metric
from tigon.report.embedded import Embedded
from tigon.report.sections import Opened, Section, described
from tigon.runs.config import flat

NONE = "–"


class Entry(NamedTuple):
    """A run that is compared: its name on the page, what was opened, and its section."""

    name: str
    shown: Opened
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
        rows: images of the same training images, one figure for each kind and data set
        samples: a grid of each run, of equal count
    """

    names: list[str]
    measures: list[Row]
    settings: list[Row]
    notes: list[str]
    curves: list[Embedded]
    rows: list[Embedded]
    samples: list[tuple[str, Embedded]]


def measures_of(entries: Sequence[Entry]) -> list[Row]:
    """Return the rows of the first table: what all have first, then what only some have."""
    values_of = [_values(entry) for entry in entries]
    names = list(dict.fromkeys(name for values in values_of for name in values))
    shared = [name for name in names if all(name in values for values in values_of)]
    others = [name for name in names if name not in shared]
    return [
        Row(name, [values.get(name, NONE) for values in values_of]) for name in shared + others
    ]


def _values(entry: Entry) -> dict[str, str]:
    return {
        "recipe": entry.section.recipe,
        "data": entry.shown.run.experiment.data,
        "training images": described(entry.shown),
        "verdict": entry.section.diagnosis.verdict,
        **entry.section.results,
    }


def settings_of(entries: Sequence[Entry]) -> list[Row]:
    """Return the settings that differ between runs that could have had the same."""
    configs = [flat(entry.shown.run.plain_config()) for entry in entries]
    nouns = [entry.shown.recipe.noun for entry in entries]
    names = dict.fromkeys(name for config in configs for name in config)
    rows = [Row(name, [config.get(name, NONE) for config in configs]) for name in names]
    rows = [row for row in rows if row.name not in ("recipe", "data")]
    return [row for row in rows if _differs(row, nouns)]


def _differs(row: Row, nouns: Sequence[str]) -> bool:
    """Return whether a setting differs between runs of kinds that have it."""
    having = {noun for noun, cell in zip(nouns, row.cells, strict=True) if cell != NONE}
    cells = {cell for noun, cell in zip(nouns, row.cells, strict=True) if noun in having}
    return len(cells) > 1


def notes_of(entries: Sequence[Entry]) -> list[str]:
    """Return what has to be known before the numbers of these runs are compared."""
    return [*_on_data(entries), *_on_kinds(entries), *_on_chance(entries)]


def by_data(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Group runs by the images that they learned from, whatever the folder was called."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.shown.context.images.content(), []).append(entry)
    return groups


def by_noun(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Group runs by what their models are called."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.shown.recipe.noun, []).append(entry)
    return groups


def _on_data(entries: Sequence[Entry]) -> list[str]:
    groups = list(by_data(entries).values())
    if len(groups) == 1:
        return [f"All runs learned from the same {len(entries[0].shown.context.images)} images."]
    sources = {entry.shown.run.experiment.data for entry in entries}
    form = "in different forms (size, fit, channels or mirroring)"
    how = f"from the same source {form}" if len(sources) == 1 else "from different images"
    said = "; ".join(f"{_listed(group)}: {_data(group[0])}" for group in groups)
    return [
        f"These runs learned {how}: {said}. Numbers that depend on the images, such as a loss or "
        "a gap, do not say which of these runs is the better one."
    ]


def _data(entry: Entry) -> str:
    values = _values(entry)
    return f"{values['training images']} from {values['data']}"


def _on_kinds(entries: Sequence[Entry]) -> list[str]:
    groups = by_noun(entries)
    if len(groups) == 1:
        return []
    said = [f"{_listed(group)} ({noun}): {_measured(group)}" for noun, group in groups.items()]
    return [
        f"Models of different kinds are measured by different things: {'; '.join(said)}. None of "
        f"these is drawn with another kind's in one figure, and a {NONE} in the table says that a "
        "run has no such number. What can be compared is what they cost and, by eye, their images."
    ]


def _measured(group: Sequence[Entry]) -> str:
    return ", ".join(metric.title.lower() for metric in drawn(group[0]))


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


def drawn(entry: Entry) -> list[Metric]:
    """Return the metrics of a run that have a figure, and were logged."""
    records = entry.shown.context.records
    return [
        metric
        for metric in entry.shown.recipe.metrics
        if metric.figure and any(metric.name in record for record in records)
    ]


def by_metric(entries: Sequence[Entry]) -> Mapping[str, list[tuple[Entry, Metric]]]:
    """Group runs by the names of the metrics that are drawn; those of one run are left out."""
    groups: dict[str, list[tuple[Entry, Metric]]] = {}
    for entry in entries:
        for metric in drawn(entry):
            groups.setdefault(metric.name, []).append((entry, metric))
    return {name: group for name, group in groups.items() if len(group) > 1}
