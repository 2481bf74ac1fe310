"""One run in a page: what it is, its results, pictures, diagnosis, settings and machine."""

from typing import Any, NamedTuple

from tigon.diagnostics import LENGTH, SEED, Told, diagnose, files_of, made_from, pictures
from tigon.errors import TigonError
from tigon.families import family_of
from tigon.families.base import Shown
from tigon.files import subfolder
from tigon.report.album import album
from tigon.report.kept import Kept, kept_diagnosis, save_diagnosis
from tigon.report.plates import Plate, plates
from tigon.runs.run import Run
from tigon.sizes import sides


class Section(NamedTuple):
    """One run in a report."""

    name: str
    recipe: str
    what: str
    figures: list[Plate]
    diagnosis: Told
    probes: list[Plate]
    results: dict[str, str]
    settings: dict[str, str]
    environment: dict[str, str]
    skipped: list[str]


def opened(run: Run) -> Shown[Any, Any]:
    """Open a run to be shown.

    Raises:
        TigonError: if it has no metrics, no checkpoint or no readable data
    """
    files = files_of(run)
    learner, images, records = run.learner(), run.images(), run.records()
    if not records:
        raise TigonError(f"run {run.folder}: has no metrics yet; train it first")
    return Shown(run, run.experiment.recipe, learner, images, records, files)


def section(run: Run) -> Section:
    """Make a run's figures, save them under RUN/figures, and gather what is said of the run."""
    return section_of(opened(run), run.name, keep=True)


def section_of(shown: Shown[Any, Any], name: str, keep: bool) -> Section:
    """Make an opened run's figures, and gather what is said of the run.

    Arguments:
        name: what the page calls the run
        keep: write RUN/figures and RUN/diagnosis.json; otherwise the run stays as it is
    """
    run = shown.run
    drawn = plates(
        album(run, shown.learner, shown.images), subfolder(run.folder, "figures") if keep else None
    )
    diagnosed = _diagnosed(shown, keep)
    return Section(
        name,
        run.experiment.name,
        family_of(shown.recipe).what(shown.recipe),
        drawn,
        diagnosed.told,
        diagnosed.plates,
        results(shown),
        flat(run.plain_config()) | {"images": str(len(shown.images))},
        {n.replace("_", " "): str(v) for n, v in run.environment.items() if n != "images"},
        shown.images.skipped,
    )


def _diagnosed(shown: Shown[Any, Any], keep: bool) -> Kept:
    """Return the diagnosis that the run keeps, where it is still true, or a new one."""
    run = shown.run
    kept = kept_diagnosis(run, made_from(run, shown.images, LENGTH, SEED, "cpu"))
    if kept is not None and files_of(run) == shown.files:
        return kept
    loaded = shown.learner, shown.images
    diagnosis = diagnose(run, LENGTH, SEED, "cpu", loaded, shown.files)
    drawn = save_diagnosis(run, diagnosis) if keep else plates(pictures(diagnosis))
    return Kept(diagnosis.told, drawn)


def results(shown: Shown[Any, Any]) -> dict[str, str]:
    """Return the figures that sum a run up, by name: those of every run, then its family's."""
    last = shown.records[-1]
    parameters = sum(p.numel() for p in shown.learner.parameters())
    return {
        "data": shown.run.experiment.data,
        "training images": told_images(shown),
        "iterations": str(last["iteration"]),
        "gradient evaluations": f"{last['gradient_evaluations']:.0f} passes over the set",
        "training time": f"{last['seconds']:.1f} s",
        "parameters": f"{parameters:,}",
        **family_of(shown.recipe).results(shown),
    }


def told_images(shown: Shown[Any, Any]) -> str:
    """Return how many images of which form a run learned from, in words."""
    images = shown.images
    size = (*sides(images.image_size), images.channels)
    return f"{len(images)} of {' x '.join(map(str, size))}"


def flat(values: dict[str, Any], where: str = "") -> dict[str, str]:
    """Return nested settings as one level, `chains.steps` and the like."""
    found: dict[str, str] = {}
    for name, value in values.items():
        inner = flat(value, f"{where}{name}.") if isinstance(value, dict) else None
        found |= inner if inner is not None else {f"{where}{name}": str(value)}
    return found
