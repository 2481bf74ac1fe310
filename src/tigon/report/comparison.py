"""A page that compares runs: tables, curves on the same axes, images side by side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tigon import figures
from tigon.errors import TigonError
from tigon.figures import Figure
from tigon.report.embedded import embedded
from tigon.report.names import distinct_names
from tigon.report.page import render
from tigon.report.sections import opened, section_of
from tigon.report.tables import (
    Comparison,
    Entry,
    by_data,
    by_metric,
    by_noun,
    measures_of,
    notes_of,
    settings_of,
)
from tigon.runs.run import Run

MOST = figures.LINES
SAMPLES, COLUMNS, FIRST = 16, 4, 8


def write_comparison(runs: Sequence[Run], path: Path) -> Path:
    """Write a self-contained page about two or more runs; the runs are not changed.

    Raises:
        TigonError: if a run is given twice, is not a run, or has no metrics, checkpoint or data
    """
    if not 2 <= len(runs) <= MOST:
        raise TigonError(f"a comparison needs 2 to {MOST} runs, not {len(runs)}")
    names = distinct_names([run.folder for run in runs])
    shown = [opened(run) for run in runs]
    entries = [
        Entry(name, run, section_of(run, name, save=False))
        for name, run in zip(names, shown, strict=True)
    ]
    sections = [entry.section for entry in entries]
    return render(sections, path, f"{len(runs)} runs compared", compare(entries))


def compare(entries: Sequence[Entry]) -> Comparison:
    """Compare runs side by side."""
    return Comparison(
        [entry.name for entry in entries],
        measures_of(entries),
        settings_of(entries),
        notes_of(entries),
        embedded(_curves(entries)),
        embedded(_rows(entries)),
        [(entry.name, embedded([_samples(entry)])[0]) for entry in entries],
    )


def _curves(entries: Sequence[Entry]) -> Iterator[Figure]:
    """Yield a figure for each metric that two or more runs have."""
    for group in by_metric(entries).values():
        metric = group[0][1]
        yield figures.curve(
            metric, {entry.name: entry.shown.context.records for entry, _ in group}
        )


def _rows(entries: Sequence[Entry]) -> Iterator[Figure]:
    """Yield what runs of the same kind on the same images make of these images at the end."""
    for group in by_data(entries).values():
        for noun, same in by_noun(group).items():
            if len(same) > 1:
                yield _last_shown(noun, same)


def _last_shown(noun: str, same: Sequence[Entry]) -> Figure:
    images = same[0].shown.context.images
    last = [(entry, entry.shown.run.snapshots()) for entry in same]
    taken = [(entry, snapshots[-1]) for entry, snapshots in last if snapshots]
    count = min(FIRST, len(images), *(len(pixels) for _, (_, pixels) in taken))
    rows = [("training images", images.pixels[:count])]
    rows += [
        (f"{entry.name}, iteration {iteration}", pixels[:count])
        for entry, (iteration, pixels) in taken
    ]
    stages = same[0].shown.recipe.stages
    return Figure(
        f"comparison-{noun}",
        f"What the {noun}s make of the same images",
        f"{stages.caption.split(',')[0]}, and below them the newest snapshot of each run.",
        figures.stages(rows),
        f"A row of {count} training images, and below it a row of the same number for each of "
        f"{', '.join(entry.name for entry, _ in taken)}.",
    )


def _samples(entry: Entry) -> Figure:
    images = entry.shown.recipe.samples(entry.shown.context, SAMPLES)
    return Figure(
        "comparison-samples",
        f"{entry.name}",
        f"{SAMPLES} images from the model, not selected.",
        figures.image_grid(images, COLUMNS),
        f"Grid of {SAMPLES} images that {entry.name} draws, {COLUMNS} in a row.",
    )
