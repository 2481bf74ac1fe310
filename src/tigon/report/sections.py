"""One run on a page: what it is, its results, figures, diagnosis, settings and machine."""

from collections.abc import Iterator
from typing import NamedTuple

from tigon import figures
from tigon.data.pixels import to_float
from tigon.diagnostics.drawing import nearest_figure
from tigon.diagnostics.nearest import SHOWN as NEAREST
from tigon.diagnostics.nearest import nearest_in_pixels
from tigon.errors import TigonError
from tigon.figures import Figure
from tigon.files import subfolder
from tigon.recipes.base import Recipe, RunContext
from tigon.report.embedded import Embedded, embedded
from tigon.report.saved import evaluation_figures, save_diagnosis, saved_diagnosis, with_embedded
from tigon.runs.config import flat
from tigon.runs.diagnosis import LENGTH, SEED, Diagnosis, diagnose
from tigon.runs.evaluation import saved_results
from tigon.runs.images import said_of
from tigon.runs.provenance import files_of, provenance
from tigon.runs.run import Run
from tigon.sizes import sides

FIRST = 12


class Section(NamedTuple):
    """One run in a report."""

    name: str
    recipe: str
    what: str
    figures: list[Embedded]
    diagnosis: Diagnosis[Embedded]
    nearest: list[Embedded]
    results: dict[str, str]
    settings: dict[str, str]
    environment: dict[str, str]
    skipped: list[str]
    notes: list[str]


class Opened(NamedTuple):
    """A run that has been loaded for display.

    Attributes:
        run: its folder
        recipe: its settings, and what it declares
        context: its learner, images and records
        files: checksums of the run's files from before they were read
    """

    run: Run
    recipe: Recipe
    context: RunContext
    files: dict[str, str]


def opened(run: Run) -> Opened:
    """Load a run for display.

    Raises:
        TigonError: if it has no metrics, no checkpoint or no readable data
    """
    files = files_of(run)
    learner, images = run.learner(), run.images()
    records = run.shown_records()
    if not records:
        raise TigonError(f"run {run.folder}: has no metrics yet; train it first")
    return Opened(run, run.experiment.recipe, RunContext(learner, images, records), files)


def section(run: Run, save: bool = True) -> Section:
    """Make a run's figures, and collect the content of its section; see `section_of`."""
    return section_of(opened(run), run.name, save)


def section_of(shown: Opened, name: str, save: bool) -> Section:
    """Make an opened run's figures, and collect the content of its section.

    Arguments:
        name: name of the run on the page
        save: write RUN/figures and RUN/diagnosis.json; otherwise the run is not changed
    """
    run, folder = shown.run, subfolder(shown.run.folder, "figures") if save else None
    drawn = embedded(figures_of(shown), folder)
    return Section(
        name,
        run.experiment.name,
        shown.recipe.describe(),
        drawn,
        _diagnosed(shown, save),
        evaluation_figures(run) or embedded(_nearest(shown), folder),
        results(shown),
        flat(run.plain_config()) | {"images": str(len(shown.context.images))},
        {n.replace("_", " "): str(v) for n, v in run.environment.items() if n != "images"},
        shown.context.images.skipped,
        list(shown.context.images.notes),
    )


def figures_of(shown: Opened) -> Iterator[Figure]:
    """Yield the figures of a run one by one: its snapshots, then those of its recipe."""
    yield _snapshots(shown)
    yield from shown.recipe.figures(shown.context)


def _snapshots(shown: Opened) -> Figure:
    """Draw the training images, and below them what the model made of them as it learned."""
    taken, images = shown.run.snapshots(), shown.context.images
    count = len(taken[-1][1]) if taken else min(FIRST, len(images))
    rows = [("training images", images.pixels[:count])]
    rows += [(f"iteration {iteration}", pixels) for iteration, pixels in taken]
    stages = shown.recipe.stages
    seen = f"A row of {count} training images, and below it {len(taken)} rows of the model's"
    if taken:
        seen += f", after iteration {', '.join(str(iteration) for iteration, _ in taken)}"
    return Figure(stages.name, stages.title, stages.caption, figures.stages(rows), f"{seen}.")


def _nearest(shown: Opened) -> Iterator[Figure]:
    """Draw the nearest training images of the model's first images, if none were held out."""
    images = shown.context.images
    if images.held_out is None and not images.incomplete:
        pixels = shown.recipe.samples(shown.context, min(NEAREST, len(images)))
        yield nearest_figure(nearest_in_pixels(to_float(pixels), images))


def _diagnosed(shown: Opened, save: bool) -> Diagnosis[Embedded]:
    """Return the run's saved diagnosis if it is still valid, or a new one."""
    run, context = shown.run, shown.context
    saved = saved_diagnosis(run, provenance(run, context.images, LENGTH, SEED, "cpu"))
    if saved is not None and files_of(run) == shown.files:
        return saved
    loaded = context.learner, context.images
    diagnosis = diagnose(run, LENGTH, SEED, "cpu", loaded, shown.files)
    return save_diagnosis(run, diagnosis) if save else with_embedded(diagnosis)


def results(shown: Opened) -> dict[str, str]:
    """Return the numbers that summarise a run, by name: common ones, then its recipe's."""
    last = shown.context.records[-1]
    parameters = sum(p.numel() for p in shown.context.learner.parameters())
    return {
        "data": shown.run.experiment.data,
        "training images": described(shown),
        "iterations": str(last["iteration"]),
        "gradient evaluations": f"{last['gradient_evaluations']:.0f} passes over the set",
        "training time": f"{last['seconds']:.1f} s",
        "parameters": f"{parameters:,}",
        **shown.recipe.results(shown.context),
        **saved_results(shown.run),
    }


def described(shown: Opened) -> str:
    """Return the number and shape of the images that a run was trained on, in words."""
    images = shown.context.images
    size = (*sides(images.image_size), images.channels)
    return said_of(images, " x ".join(map(str, size)))
