"""A page that compares runs: tables, curves over the same axes, images side by side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tigon import figures
from tigon.errors import TigonError
from tigon.families import family_of
from tigon.families.base import Picture
from tigon.report.names import distinct_names
from tigon.report.page import render
from tigon.report.plates import plates
from tigon.report.sections import opened, section_of
from tigon.report.tables import (
    Comparison,
    Entry,
    by_data,
    by_family,
    measures_of,
    notes_of,
    records_by_measure,
    settings_of,
)
from tigon.runs.run import Run

MOST = figures.LINES
SAMPLES, COLUMNS, FIRST = 16, 4, 8


def write_comparison(runs: Sequence[Run], path: Path) -> Path:
    """Write a self-contained page about two runs or more; the runs stay as they are.

    Raises:
        TigonError: if a run is given twice, is no run, or has no metrics, checkpoint or data
    """
    if not 2 <= len(runs) <= MOST:
        raise TigonError(f"a comparison is of 2 to {MOST} runs, not {len(runs)}")
    names = distinct_names([run.folder for run in runs])
    shown = [opened(run) for run in runs]
    entries = [
        Entry(name, run, section_of(run, name, keep=False))
        for name, run in zip(names, shown, strict=True)
    ]
    sections = [entry.section for entry in entries]
    return render(sections, path, f"{len(runs)} runs compared", compare(entries))


def compare(entries: Sequence[Entry]) -> Comparison:
    """Set runs side by side."""
    return Comparison(
        [entry.name for entry in entries],
        measures_of(entries),
        settings_of(entries),
        notes_of(entries),
        plates(_curves(entries)),
        plates(_rows(entries)),
        [(entry.name, plates([_samples(entry)])[0]) for entry in entries],
    )


def _curves(entries: Sequence[Entry]) -> Iterator[Picture]:
    """Yield a figure for each measure that two runs or more have."""
    for name, group in records_by_measure(entries).items():
        measures = family_of(group[0].shown.recipe).measures
        measure = next(measure for measure in measures if measure.name == name)
        yield measure.picture({entry.name: entry.shown.records for entry in group})


def _rows(entries: Sequence[Entry]) -> Iterator[Picture]:
    """Yield, for runs of one family and the same images, what each shows of these in the end."""
    for group in by_data(entries).values():
        for noun, same in by_family(group).items():
            if len(same) > 1:
                yield _last_shown(noun, same)


def _last_shown(noun: str, same: Sequence[Entry]) -> Picture:
    images = same[0].shown.images
    last = [(entry, entry.shown.run.snapshots()) for entry in same]
    taken = [(entry, snapshots[-1]) for entry, snapshots in last if snapshots]
    count = min(FIRST, len(images), *(len(pixels) for _, (_, pixels) in taken))
    rows = [("training images", images.pixels[:count])]
    rows += [
        (f"{entry.name}, iteration {iteration}", pixels[:count])
        for entry, (iteration, pixels) in taken
    ]
    stages = family_of(same[0].shown.recipe).stages
    return Picture(
        f"comparison-{noun}",
        f"What the {noun}s make of the same images",
        f"{stages.caption.split(',')[0]}, and below them the newest snapshot of each run.",
        figures.stages(rows),
        f"A row of {count} training images, and below it a row of the same number for each of "
        f"{', '.join(entry.name for entry, _ in taken)}.",
    )


def _samples(entry: Entry) -> Picture:
    images = family_of(entry.shown.recipe).samples(entry.shown, SAMPLES)
    return Picture(
        "comparison-samples",
        f"{entry.name}",
        f"{SAMPLES} images of the model, none left out.",
        figures.image_grid(images, COLUMNS),
        f"Grid of {SAMPLES} images that {entry.name} draws, {COLUMNS} in a row.",
    )
