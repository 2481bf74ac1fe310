"""Runs side by side in words: what differs, what is shared, and what cannot be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tigon.learners.metrics import Metric
from tigon.report.embedded import Embedded
from tigon.report.sections import Opened, Section, described
from tigon.runs.config import flat

NONE = "–"


class Entry(NamedTuple):
    """A run in a comparison: its name on the page, the opened run, and its section."""

    name: str
    shown: Opened
    section: Section


class Row(NamedTuple):
    """A row of a table: its name, and a cell for each run."""

    name: str
    cells: list[str]


class Comparison(NamedTuple):
    """What a page says about several runs together.

    Attributes:
        names: names of the runs, in the order of the tables' columns
        measures: the runs and their results
        settings: settings that differ
        notes: what to know before comparing numbers
        curves: figures, each with all runs that have the metric
        rows: what runs make of the same training images, one figure per kind and data set
        samples: a grid for each run, with the same number of images
    """

    names: list[str]
    measures: list[Row]
    settings: list[Row]
    notes: list[str]
    curves: list[Embedded]
    rows: list[Embedded]
    samples: list[tuple[str, Embedded]]


def measures_of(entries: Sequence[Entry]) -> list[Row]:
    """Return the rows of the first table: first those that all runs have, then the others."""
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
    """Return the settings that differ between runs whose recipes have them."""
    configs = [flat(entry.shown.run.plain_config()) for entry in entries]
    nouns = [entry.shown.recipe.noun for entry in entries]
    names = dict.fromkeys(name for config in configs for name in config)
    rows = [Row(name, [config.get(name, NONE) for config in configs]) for name in names]
    rows = [row for row in rows if row.name not in ("recipe", "data")]
    return [row for row in rows if _differs(row, nouns)]


def _differs(row: Row, nouns: Sequence[str]) -> bool:
    """Return whether a setting differs between runs of the kinds that have it."""
    having = {noun for noun, cell in zip(nouns, row.cells, strict=True) if cell != NONE}
    cells = {cell for noun, cell in zip(nouns, row.cells, strict=True) if noun in having}
    return len(cells) > 1


def notes_of(entries: Sequence[Entry]) -> list[str]:
    """Return what to know before comparing the numbers of these runs."""
    return [*_on_data(entries), *_on_kinds(entries), *_on_chance(entries)]


def by_data(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Group runs by the images that they were trained on, whatever their folder is called."""
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
        count = len(entries[0].shown.context.images)
        return [f"All runs were trained on the same {count} images."]
    sources = {entry.shown.run.experiment.data for entry in entries}
    form = "in different forms (size, fit, channels, mirroring, masks, or what is held out)"
    how = f"on the same source {form}" if len(sources) == 1 else "on different images"
    said = "; ".join(f"{_listed(group)}: {_data(group[0])}" for group in groups)
    return [
        f"These runs were trained {how}: {said}. Numbers that depend on the images, such as a "
        "loss or a gap, do not say which of these runs is better."
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
        f"Different kinds of models are measured differently: {'; '.join(said)}. Metrics of "
        f"different kinds never share a figure, and a {NONE} in the table means that a run has no "
        "such number. What can be compared is their cost and, by eye, their images."
    ]


def _measured(group: Sequence[Entry]) -> str:
    return ", ".join(metric.title.lower() for metric in drawn(group[0]))


def _on_chance(entries: Sequence[Entry]) -> list[str]:
    """Say if runs of one recipe differ only in the seed, or not at all."""
    rows = settings_of(entries)
    recipes = {entry.section.recipe for entry in entries}
    if len(recipes) > 1 or len(by_data(entries)) > 1:
        return []
    if [row.name for row in rows] == ["seed"]:
        return ["Only the seed differs: differences between these runs are due to chance."]
    if not rows:
        return ["All settings are the same."]
    return []


def _listed(group: Sequence[Entry]) -> str:
    names = [entry.name for entry in group]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def drawn(entry: Entry) -> list[Metric]:
    """Return the metrics of a run that have a figure and were logged."""
    records = entry.shown.context.records
    return [
        metric
        for metric in entry.shown.recipe.metrics
        if metric.figure and any(metric.name in record for record in records)
    ]


def by_metric(entries: Sequence[Entry]) -> Mapping[str, list[tuple[Entry, Metric]]]:
    """Group runs by the names of their drawn metrics, without metrics of only one run."""
    groups: dict[str, list[tuple[Entry, Metric]]] = {}
    for entry in entries:
        for metric in drawn(entry):
            groups.setdefault(metric.name, []).append((entry, metric))
    return {name: group for name, group in groups.items() if len(group) > 1}
