"""A model folder: a learned model by itself, to be kept, copied and shared.

config.json        the recipe's name and the model's own numbers
model.safetensors  weights, and a descriptor's start images; no optimizer, no chains
README.md          the model card, and samples.png, which it shows

Folders come from anywhere: nothing in them is executed, nothing outside them is read. Where a
model gets another number of its own, FORMAT goes up, and what the old one meant is read as before.
"""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import save

from tigon import __version__
from tigon.errors import TigonError
from tigon.export.card import Facts, make_card
from tigon.export.models import (
    Card,
    LearnedDescriptor,
    LearnedGenerator,
    LearnedModel,
    model_of,
)
from tigon.export.weights import Fits, load_weights
from tigon.outputs import write_folder
from tigon.recipes import DescriptorRecipe, GeneratorRecipe, Recipe, recipe_type
from tigon.runs.config import from_plain, to_plain
from tigon.runs.run import Run
from tigon.sizes import sides

FORMAT = 1
CONFIG, WEIGHTS, CARD, PICTURE = "config.json", "model.safetensors", "README.md", "samples.png"
FILES = (CONFIG, WEIGHTS, CARD, PICTURE)
LARGEST_TEXT, LARGEST_PICTURE = 2**20, 2**24
SMALL, LARGE = 1e-6, 1e6
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
IMAGE = ("image_size", "fit", "channels")
OWN = {
    "generator": (*IMAGE, "latent_dim", "sigma", "network"),
    "descriptor": (*IMAGE, "scale", "network", "chains"),
}


def load_model(folder: str | os.PathLike[str], checkpoint: str = "last") -> LearnedModel:
    """Return the learned model of a run folder or of a model folder.

    Arguments:
        checkpoint: of a run: last, best, or an iteration; a model folder has but one
    Raises:
        TigonError: if it is neither, or damaged; it says which file and why
    """
    path = Path(folder)
    if not is_model_folder(path):
        return model_of(Run(path, checkpoint))
    if checkpoint != "last":
        raise TigonError(f"--checkpoint {checkpoint}: {path} is a model folder, which has but one")
    return read_model_folder(path)


def is_model_folder(folder: Path) -> bool:
    """Return whether a folder looks as if it held a model rather than a run."""
    names = (CONFIG, WEIGHTS, "pytorch_model.bin")
    return not (folder / "config.toml").exists() and any((folder / n).exists() for n in names)


def write_model_folder(folder: Path, model: LearnedModel) -> None:
    """Write a model folder, whole or not at all.

    Raises:
        TigonError: if it exists and is no empty folder, or the disk refuses
    """
    card = model.card or make_card(model, Facts())
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.tensors().items()}
    files = {
        CONFIG: (json.dumps(config_of(model), indent=2) + "\n").encode(),
        WEIGHTS: save(tensors, {"format": "pt"}),
        CARD: card.text.encode("utf-8", "backslashreplace"),
    }
    write_folder(folder, files | ({PICTURE: card.picture} if card.picture else {}))


def config_of(model: LearnedModel) -> dict[str, Any]:
    """Return what config.json says of a model.

    Raises:
        TigonError: if its numbers are such as `read_model_folder` would refuse
    """
    plain = to_plain(model.recipe)
    own = {name: plain[name] for name in OWN[model.kind]}
    config = {"format": FORMAT, "tigon": __version__, "recipe": model.recipe_name, "model": own}
    try:
        _recipe_of(config)
    except ValueError as error:
        raise TigonError(f"the model cannot be kept: {error}") from error
    return config


def read_model_folder(folder: Path) -> LearnedModel:
    """Return the model of a model folder.

    Raises:
        TigonError: if a file is missing, is a link, or does not hold what it should; says which
    """
    if (folder / "config.toml").exists() and not os.path.lexists(folder / CONFIG):
        raise TigonError(
            f"{folder}: is a run; tigon export {folder} --out FOLDER makes a model folder of it"
        )
    recipe = _read_config(folder)
    path = _found(folder, WEIGHTS)
    if isinstance(recipe, GeneratorRecipe):
        more, numbers = {"plane": _is_plane(recipe)}, {"sigma": float(recipe.sigma)}
        model, others = load_weights(path, recipe.model, more, numbers)
        return LearnedGenerator(recipe, model, others["plane"], _read_card(folder))  # type: ignore[arg-type]
    assert isinstance(recipe, DescriptorRecipe)
    model, others = load_weights(path, recipe.model, {"starts": _are_starts(recipe)})
    return LearnedDescriptor(recipe, model, others["starts"], _read_card(folder))  # type: ignore[arg-type]


def _is_plane(recipe: GeneratorRecipe) -> Fits:
    return lambda shape: tuple(shape) == (2, recipe.latent_dim)


def _are_starts(recipe: DescriptorRecipe) -> Fits:
    if recipe.chains.start == "mean-image":
        size = sides(recipe.image_size)
        return lambda shape: tuple(shape) == (1, recipe.channels, *size)
    return lambda shape: len(shape) == 4 and shape[0] >= 1 and tuple(shape[1:]) == (
        recipe.channels, 1, 1,
    )  # fmt: skip


def _read_config(folder: Path) -> Recipe:
    path = _found(folder, CONFIG)
    try:
        return _recipe_of(json.loads(_read(path, LARGEST_TEXT).decode("utf-8")))
    except (ValueError, RecursionError, TigonError) as error:
        raise TigonError(f"{path}: {' '.join(str(error).split())[:300]}") from error


def _recipe_of(config: Any) -> Recipe:  # noqa: ANN401
    """Return the recipe of a config.json, with defaults for what only learning needs.

    Raises:
        ValueError, TigonError: if a name or a value is wrong
    """
    if not isinstance(config, dict) or type(config.get("format")) is not int:
        raise ValueError("is no config of a tigon model: its `format` is missing")
    if config["format"] != FORMAT:
        raise ValueError(
            f"has format {config['format']}, and tigon {__version__} reads {FORMAT}: "
            "another version of tigon wrote it"
        )
    unknown = sorted(config.keys() - {"format", "tigon", "recipe", "model"})
    if unknown:
        raise ValueError(f"unknown name {unknown[0][:80]!r}")
    name, numbers = config.get("recipe"), config.get("model")
    if not isinstance(name, str) or not isinstance(numbers, dict):
        raise ValueError("recipe (text) and model (its numbers) are both needed")
    kind = recipe_type(name[:80])
    own = OWN["generator" if issubclass(kind, GeneratorRecipe) else "descriptor"]
    _check_numbers(numbers)
    foreign = sorted(numbers.keys() - set(own))
    if foreign:
        raise ValueError(f"unknown name model.{foreign[0][:80]}; it may be {', '.join(own)}")
    if numbers.get("sigma") == "learn":
        raise ValueError("model.sigma is a number, once it is learned")
    recipe = from_plain(kind, numbers, "model.")
    _refuse_gaps(to_plain(recipe), numbers, own)
    return recipe


def _check_numbers(numbers: dict[str, Any], where: str = "model.") -> None:
    """Refuse numbers beyond any that a model has, whose squares or reciprocals would overflow."""
    for name, value in numbers.items():
        if isinstance(value, dict):
            _check_numbers(value, f"{where}{name[:80]}.")
        elif isinstance(value, int | float) and value and not SMALL <= abs(value) <= LARGE:
            raise ValueError(f"{where}{name[:80]} is not within {SMALL:g} and {LARGE:g} in size")


def _refuse_gaps(
    whole: dict[str, Any], given: dict[str, Any], names: Iterable[str], where: str = "model."
) -> None:
    """Refuse a config that leaves out a number: a default may be another in another version."""
    for name in names:
        if name not in given:
            raise ValueError(f"{where}{name} is missing")
        if isinstance(whole[name], dict):
            _refuse_gaps(whole[name], given[name], whole[name], f"{where}{name}.")


def _read_card(folder: Path) -> Card | None:
    if not os.path.lexists(folder / CARD):
        return None
    text = _read(_found(folder, CARD), LARGEST_TEXT).decode("utf-8", "replace")
    if not os.path.lexists(folder / PICTURE):
        return Card(text)
    return Card(text, _read(_found(folder, PICTURE), LARGEST_PICTURE))


def _found(folder: Path, name: str) -> Path:
    """Return the path of a file of the folder.

    Raises:
        TigonError: if it is missing, no file, or a link that leads out
    """
    path = folder / name
    if not os.path.lexists(path):
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        instead = f"; {pickles[0]} may run code when it is read, and is not" if pickles else ""
        raise TigonError(f"model folder {folder}: has no {name}{instead}")
    if path.is_symlink() and not _in_hub_cache(path):
        raise TigonError(f"{path}: is a link, and nothing outside a model folder is read")
    if not path.is_file():
        raise TigonError(f"{path}: is no file")
    return path


def _in_hub_cache(path: Path) -> bool:
    """Return whether a link is one of the hub's own: from snapshots/REVISION into blobs."""
    snapshot = path.parent.resolve()
    blobs = snapshot.parent.parent / "blobs"
    return snapshot.parent.name == "snapshots" and path.resolve().parent == blobs


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TigonError(f"{path}: is no file")
            data = file.read(most + 1)
    except OSError as error:
        raise TigonError(f"{path}: cannot be read ({error})") from error
    if len(data) > most:
        raise TigonError(f"{path}: is larger than {most} bytes")
    return data
