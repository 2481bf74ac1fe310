"""The model card: what a model is, what it was trained on, and what it is not.

It is README.md with the front matter that the Hugging Face Hub reads, and a grid of samples.
Whatever is not given is "not stated".
"""

import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from tigon import __version__
from tigon.data.pixels import to_uint8
from tigon.data.sources import is_named
from tigon.densities.gaussian import StandardNormal
from tigon.densities.mixture import GaussianMixture
from tigon.errors import TigonError
from tigon.export.licences import hub_licence
from tigon.figures import tile
from tigon.files import printable
from tigon.models.abilities import HasChains, HasDecoder, grids_of
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart
from tigon.models.folder import Card
from tigon.random.streams import RowRng
from tigon.recipes import Recipe, recipe_type, recipes
from tigon.runs.config import flat
from tigon.runs.run import Run
from tigon.sizes import image_size, size_text
from tigon.training.checkpoint_folder import checksum

SHOWN, COLUMNS = 64, 8
UNKNOWN = "not stated"


@dataclass(frozen=True)
class Licence:
    """What only the person who shares a model can state.

    Arguments:
        license: licence of the weights, such as cc0-1.0 or apache-2.0
        data_license: licence of the training images
        data_description: what the training images are, and where they come from
    """

    license: str = UNKNOWN
    data_license: str = UNKNOWN
    data_description: str = UNKNOWN


@dataclass(frozen=True)
class Facts:
    """What a card states besides what the model itself knows.

    Arguments:
        title: title of the card
        what: what the model is, and whether it is a density
        terms: licences, and a description of the data
        data: name of the data set, without its parent folders
        images: number of images, and what they are
        measures: results of the run, by name
        verdict: verdict of `tigon diagnose`
        findings: its findings, one line each
        settings: settings of the recipe, by dotted name
        machine: hardware and versions
    """

    title: str = "A tigon model"
    what: str = UNKNOWN
    terms: Licence = Licence()
    data: str = UNKNOWN
    images: str = UNKNOWN
    measures: dict[str, str] = field(default_factory=dict)
    verdict: str = UNKNOWN
    findings: Sequence[str] = ()
    settings: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)


def facts_of(run: Run, terms: Licence) -> Facts:
    """Collect the facts for a model's card from its run's files.

    Raises:
        TigonError: if config.toml or diagnosis.json cannot be read
    """
    config = run.plain_config()
    data = str(config.pop("data"))
    for name in {"from", "mask"} & config.keys():
        config[name] = Path(config[name]).name  # ALPHA is its own
    described = run.environment.get("images")
    said = str(described.get("said", UNKNOWN)) if isinstance(described, dict) else UNKNOWN
    verdict, findings = _diagnosis(run)
    return Facts(
        run.folder.resolve().name,
        run.experiment.recipe.describe(),
        terms,
        _public(data),
        said,
        measures(run.records_until(), run.experiment.recipe),
        verdict,
        findings,
        flat(config),
        _machine(run.environment),
    )


def _public(data: str) -> str:
    """Return the name of a data set without the folders that it is in."""
    if not is_named(data):
        return Path(data).name
    kind, _, name = data.partition(":")
    local = kind == "hf" and (os.path.isabs(name) or os.path.exists(name))
    return f"{kind}:{Path(name).name}" if local else data


def make_card(model: Model, facts: Facts) -> Card:
    """Return the card of a model, with a picture of images drawn from it.

    Raises:
        TigonError: if the model's images are not finite
    """
    count = _shown(model)
    images = to_uint8(model.sample(count, RowRng(0, 0, range(count), "sample")))
    stream = io.BytesIO()
    Image.fromarray(tile(images, min(COLUMNS, count))).save(stream, format="png")
    environment = Environment(
        loader=PackageLoader("tigon", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"line": _line, "code": _code}
    kind = _recipe_of(model)
    channels, height, width = model.image_shape
    text = environment.get_template(kind.card).render(
        facts=facts,
        terms=facts.terms,
        license=hub_licence(facts.terms.license),
        model=model,
        prior=_prior(model) if isinstance(model, HasDecoder) else "",
        **{"class": type(model).__name__},
        config=model.config(),
        noun=kind.noun,
        about=facts.what,
        remark=kind.remark,
        channels=channels,
        height=height,
        width=width,
        size=f"{width} x {height}",
        chain=_chain(model) if isinstance(model, HasChains) else {},
        count=count,
        parameters=sum(p.numel() for p in model.parameters()),
        cold=ColdStart(),
        version=__version__,
    )
    return Card(text, stream.getvalue())


def _recipe_of(model: Model) -> type[Recipe]:
    """Return the recipe that a model was trained with, or one for models of its class."""
    if model.recipe:
        return recipe_type(model.recipe)
    makers = (kind for kind in recipes().values() if kind.model_type is type(model))
    return next(makers, Recipe)


def measures(records: list[dict[str, Any]], recipe: Recipe) -> dict[str, str]:
    """Return the numbers that summarise the metrics of a run, by name."""
    if not records:
        return {}
    last = records[-1]
    return {
        "iterations": f"{last['iteration']}",
        "gradient evaluations": f"{last['gradient_evaluations']:.0f} passes over the set",
        "training time": f"{last['seconds']:.0f} s",
        **recipe.summary(records),
    }


def _shown(model: Model) -> int:
    """Return how many images the card shows: one per start image, if there are several."""
    if not isinstance(model, HasChains):
        return SHOWN
    starts = model.start_count
    return min(SHOWN, starts) if starts > 1 else 2 * COLUMNS


def _prior(model: Any) -> str:  # noqa: ANN401
    """Return the prior of a model's latents in words, or what it tilts."""
    prior = getattr(model, "prior", None)
    base = getattr(prior, "base", prior)
    if isinstance(base, GaussianMixture):
        return f"a mixture of {len(base.weights)} normal densities"
    return "N(0, I)" if isinstance(base, StandardNormal) else f"a {type(base).__name__}"


def _chain(model: HasChains) -> dict[str, Any]:
    """Return the settings of the chains with which a model samples."""
    chains: Any = model.chains
    return {
        "starts": model.start_count,
        "grids": [size_text(image_size(*grid.image_shape[1:])) for grid in grids_of(model)],
        "steps": chains.steps,
        "step_size": model.step_size,
        "shrink": chains.shrink,
        "temperature": chains.kernel.temperature,
        "noiseless_last_step": chains.final is not None,
        "loc": model.reference.loc,  # type: ignore[attr-defined]
        "scale": model.reference.scale,  # type: ignore[attr-defined]
    }


def _diagnosis(run: Run) -> tuple[str, list[str]]:
    """Return the verdict and the findings of `tigon diagnose`, if they are of this checkpoint."""
    path = run.folder / "diagnosis.json"
    if not path.exists():
        return "not diagnosed", []
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["provenance"]["checkpoint"] != checksum(run.find() / "manifest.json"):
            return "not diagnosed", []
        lines = [f"{f['level']}: {f['name']}: {f['what']}" for f in found["findings"]]
        return str(found["verdict"]), lines
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TigonError(
            f"{path}: cannot be read; tigon diagnose writes it again ({type(error).__name__})"
        ) from error


def _machine(environment: dict[str, Any]) -> dict[str, str]:
    names = ("tigon", "torch", "processor", "threads", "device", "peak_memory_mb")
    return {n.replace("_", " "): str(environment[n]) for n in names if n in environment}


def _line(text: str) -> str:
    """Return a text as one line without markup; an empty one is "not stated"."""
    joined = " ".join(printable(" ".join(str(text).split())).split()) or UNKNOWN
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", joined)


def _code(text: str) -> str:
    """Return a text as inline code; an empty one is "not stated"."""
    joined = " ".join(printable(str(text)).replace("`", "'").replace("|", "/").split())
    return f"`{joined}`" if joined else UNKNOWN
