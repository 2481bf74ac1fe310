"""RUN/report.html: one file, no other needed, that shows a run and says what it is."""

import base64
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from tigon import __version__
from tigon.album import Picture, album
from tigon.diagnosis import Diagnosis, diagnose, pictures
from tigon.errors import TigonError
from tigon.files import replace_file, subfolder
from tigon.learners.base import Learner
from tigon.recipes import Descriptor, DescriptorSeed, Generator, Recipe
from tigon.runs import Run
from tigon.training.iteration import Record

RECENT = 50
KERNELS = {
    "mala": "MALA",
    "hmc": "Hamiltonian Monte Carlo",
    "langevin": "unadjusted Langevin dynamics",
}
ORIGINAL = " This is the original algorithm, for comparison only: it"


class Section(NamedTuple):
    """One run in a report."""

    name: str
    recipe: str
    what: str
    figures: list[tuple[Picture, str]]
    diagnosis: Diagnosis
    probes: list[tuple[Picture, str]]
    results: dict[str, str]
    settings: dict[str, str]
    environment: dict[str, str]
    skipped: list[str]


def write_report(run: Run) -> Path:
    """Write figures/ and report.html of a run; returns the report's path.

    Raises:
        TigonError: if the run has no checkpoint or no readable data
    """
    return render([section(run)], run.folder / "report.html", _name(run))


def section(run: Run) -> Section:
    """Make a run's figures, save them under RUN/figures, and gather what is said of the run."""
    learner, images, records = run.learner(), run.images(), run.records()
    if not records:
        raise TigonError(f"run {run.folder}: has no metrics yet; train it first")
    drawn = _saved(run.folder, album(run, learner, images))
    diagnosis = diagnose(run, loaded=(learner, images))
    recipe = run.experiment.recipe
    return Section(
        _name(run),
        run.experiment.name,
        _what(recipe),
        drawn,
        diagnosis,
        save_diagnosis(run, diagnosis),
        _results(recipe, records, learner),
        _flat(run.plain_config()) | {"images": str(len(images))},
        {n.replace("_", " "): str(v) for n, v in run.environment.items() if n != "images"},
        images.skipped,
    )


def save_diagnosis(run: Run, diagnosis: Diagnosis) -> list[tuple[Picture, str]]:
    """Write RUN/diagnosis.json and its figures; returns each with its PNG in base 64."""
    replace_file(run.folder / "diagnosis.json", json.dumps(diagnosis.to_plain(), indent=1))
    return _saved(run.folder, pictures(diagnosis))


def _saved(folder: Path, drawn: Iterable[Picture]) -> list[tuple[Picture, str]]:
    """Save pictures under `folder`/figures; returns each with its PNG in base 64."""
    subfolder(folder, "figures").mkdir(exist_ok=True)
    kept = []
    for picture in drawn:
        data = _png(picture)
        replace_file(folder / "figures" / f"{picture.name}.png", data)
        kept.append((picture, base64.b64encode(data).decode()))
    return kept


def render(sections: Sequence[Section], path: Path, title: str) -> Path:
    """Write a self-contained page about one or more runs to `path`."""
    environment = Environment(
        loader=PackageLoader("tigon", "templates"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.jinja").render(
        title=title, sections=sections, version=__version__
    )
    replace_file(path, page)
    return path


def _name(run: Run) -> str:
    return run.name


def _png(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _what(recipe: Recipe) -> str:
    """Say in words what kind of model this is."""
    if isinstance(recipe, Generator):
        seed = f"{ORIGINAL} averages the likelihood over the batch, and its chains share batch "
        seed = f"{seed}statistics." if recipe.average_likelihood else ""
        return (
            f"A generator: images are f(z) plus noise of standard deviation {recipe.sigma:g}, "
            f"with {recipe.latent_dim} latents z ~ N(0, I). Latents of the training images are "
            f"inferred by {KERNELS[recipe.chains.kernel]} "
            f"at temperature {recipe.chains.temperature:g}.{seed}"
        )
    assert isinstance(recipe, Descriptor)
    original = isinstance(recipe, DescriptorSeed)
    seed = f"{ORIGINAL} lets its chains share batch statistics." if original else ""
    chains = recipe.chains
    return (
        f"A descriptor, learned with chains of {chains.steps} Langevin steps at temperature "
        f"{chains.temperature:g} that start from mean images. Chains this short do not reach the "
        "model's density: this is a sampler, not a density, and its log-density says nothing of "
        f"how probable an image is.{seed}"
    )


def _results(recipe: Recipe, records: list[Record], learner: Learner) -> dict[str, str]:
    """Return the figures that sum a run up, by name."""
    last, recent = records[-1], records[-RECENT:]
    parameters = sum(p.numel() for p in learner.parameters())
    results = {
        "iterations": str(last["iteration"]),
        "gradient evaluations": f"{last['gradient_evaluations']:.0f} passes over the set",
        "training time": f"{last['seconds']:.1f} s",
        "temperature": f"{recipe.chains.temperature:g}",  # type: ignore[attr-defined]
        "parameters": f"{parameters:,}",
    }
    if "seed_loss" in last:
        return results | {
            "seed loss": f"{_mean(records[-20:], 'seed_loss'):.4f} (mean of the last 20 logged)",
            "acceptance": f"{_mean(recent, 'accept'):.2f} (mean of the last {len(recent)} logged)",
            "latent mean": _vector(last["latent_mean"]),
            "latent standard deviation": _vector(last["latent_std"]),
        }
    gaps = [abs(record["gap"]) for record in records]
    return results | {
        "|gap|": f"{median(gaps[-RECENT:]):.3f} nats per dimension (median of the last "
        f"{len(recent)} logged; at most {max(gaps):.3f})",
        "saturation": f"{100 * last['saturation']:.2f} % outside [-1, 1] by more than 0.1",
    }


def _mean(records: list[Record], name: str) -> float:
    return sum(record[name] for record in records) / len(records)


def _vector(values: list[float]) -> str:
    if len(values) <= 4:
        return ", ".join(f"{value:.3f}" for value in values)
    return f"{min(values):.3f} to {max(values):.3f} over {len(values)} coordinates"


def _flat(values: dict[str, Any], where: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        inner = _flat(value, f"{where}{name}.") if isinstance(value, dict) else None
        flat |= inner if inner is not None else {f"{where}{name}": str(value)}
    return flat
