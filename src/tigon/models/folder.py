"""A model folder: a model on its own, to be stored, copied and shared.

config.json        the recipe's name, the model's class and its own settings
model.safetensors  weights, and whatever else sampling needs; no optimizer, no chains
README.md          the model card, and samples.png, which it may show

Folders may come from anywhere: nothing in them is executed, nothing outside them is read. If a
model gets a new setting, increment FORMAT.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tigon import __version__
from tigon.choices import choices_of, is_choice
from tigon.data.pixels import Fit
from tigon.errors import TigonError
from tigon.files import in_shell, write_folder

FORMAT = 2
CONFIG, WEIGHTS, CARD, PICTURE = "config.json", "model.safetensors", "README.md", "samples.png"
FILES = (CONFIG, WEIGHTS, CARD, PICTURE)
LARGEST_TEXT, LARGEST_PICTURE = 2**20, 2**24
SMALL, LARGE = 1e-6, 1e6
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
DTYPES = {torch.float32: "F32", torch.int64: "I64"}
NO_CARD = """---
library_name: tigon
tags:
- tigon
---

# A tigon model

A `{kind}`; its settings are in config.json. Its training data, its training, and the licences of
the weights and of the training images are not stated.
"""


class Card(NamedTuple):
    """A model's card: the text of README.md, and the PNG that it shows, if any."""

    text: str
    picture: bytes = b""


class Config(NamedTuple):
    """The content of config.json.

    Attributes:
        recipe: name of the recipe that the model was trained with, if any
        fit: how pictures become the model's images
        model: its class, and the settings of `Model.config`
    """

    recipe: str | None
    fit: Fit
    model: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {"format": FORMAT, "tigon": __version__} | self._asdict()

    def check(self) -> None:
        """Check the numbers as `read_config` does.

        Raises:
            ValueError: if one is out of range; it says which
        """
        if not is_choice(self.fit, choices_of(Fit)):
            raise ValueError(f"fit must be {' or '.join(choices_of(Fit))}")
        _check_numbers(self.model)


def is_model_folder(folder: Path) -> bool:
    """Return whether a folder looks like a model folder rather than a run."""
    names = (CONFIG, WEIGHTS, "pytorch_model.bin")
    return not (folder / "config.toml").exists() and any((folder / n).exists() for n in names)


def write_model_folder(
    folder: Path, config: Config, tensors: dict[str, Tensor], card: Card | None
) -> None:
    """Write a model folder atomically, with a minimal card if there is none.

    Weights are written in single precision, which models are read in.

    Raises:
        TigonError: if it exists and is not an empty folder, or cannot be written
    """
    from safetensors.torch import save

    card = card or Card(NO_CARD.format(kind=config.model["class"]))
    held = {name: _single(value.detach()).cpu().contiguous() for name, value in tensors.items()}
    files = {
        CONFIG: (json.dumps(config.plain(), indent=2) + "\n").encode(),
        WEIGHTS: save(held, {"format": "pt"}),
        CARD: card.text.encode("utf-8", "backslashreplace"),
    }
    write_folder(folder, files | ({PICTURE: card.picture} if card.picture else {}))


def _single(values: Tensor) -> Tensor:
    return values.float() if values.is_floating_point() else values


def read_config(folder: Path) -> Config:
    """Return the content of config.json in a model folder.

    Raises:
        TigonError: if it is missing, a link, or invalid; it says why
    """
    if (folder / "config.toml").exists() and not os.path.lexists(folder / CONFIG):
        raise TigonError(
            f"{folder}: is a run; tigon export {in_shell(folder)} --out FOLDER makes a model "
            "folder from it"
        )
    path = _found(folder, CONFIG)
    try:
        return _config(json.loads(_read(path, LARGEST_TEXT).decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise TigonError(f"{path}: {' '.join(str(error).split())[:300]}") from error


def _config(config: Any) -> Config:  # noqa: ANN401
    if not isinstance(config, dict) or type(config.get("format")) is not int:
        raise ValueError("is not the config of a tigon model: its `format` is missing")
    if config["format"] != FORMAT:
        raise ValueError(
            f"has format {config['format']}, but tigon {__version__} reads {FORMAT}: "
            "it was written by another version of tigon"
        )
    unknown = sorted(config.keys() - {"format", "tigon", *Config._fields})
    if unknown:
        raise ValueError(f"unknown name {unknown[0][:80]!r}")
    recipe, fit, model = (config.get(name) for name in Config._fields)
    if not isinstance(recipe, str | None) or not isinstance(model, dict):
        raise ValueError("recipe (text) and model (its class and settings) are both needed")
    found = Config(recipe, fit, model)  # type: ignore[arg-type]
    found.check()
    return found


def _check_numbers(value: Any, where: str = "model") -> None:  # noqa: ANN401
    """Refuse numbers that no model has, whose squares or reciprocals would overflow."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            _check_numbers(inner, f"{where}.{str(name)[:80]}")
    elif isinstance(value, int | float) and value and not SMALL <= abs(value) <= LARGE:
        raise ValueError(f"{where} is not between {SMALL:g} and {LARGE:g} in size")


def read_card(folder: Path) -> Card | None:
    """Return the card of a model folder, if it has one."""
    if not os.path.lexists(folder / CARD):
        return None
    text = _read(_found(folder, CARD), LARGEST_TEXT).decode("utf-8", "replace")
    if not os.path.lexists(folder / PICTURE):
        return Card(text)
    return Card(text, _read(_found(folder, PICTURE), LARGEST_PICTURE))


def _found(folder: Path, name: str) -> Path:
    """Return the path of a file in the folder.

    Raises:
        TigonError: if it is missing, not a file, or a link that leads outside
    """
    path = folder / name
    if not os.path.lexists(path):
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        instead = f"; {pickles[0]} is not read, since it may run code" if pickles else ""
        raise TigonError(f"model folder {folder}: has no {name}{instead}")
    if path.is_symlink() and not _in_hub_cache(path):
        raise TigonError(f"{path}: is a link, but nothing outside a model folder is read")
    if not path.is_file():
        raise TigonError(f"{path}: is not a file")
    return path


def _in_hub_cache(path: Path) -> bool:
    """Return whether a link is one of the Hub's own: from snapshots/REVISION into blobs."""
    snapshot = path.parent.resolve()
    blobs = snapshot.parent.parent / "blobs"
    return snapshot.parent.name == "snapshots" and path.resolve().parent == blobs


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TigonError(f"{path}: is not a file")
            data = file.read(most + 1)
    except OSError as error:
        raise TigonError(f"{path}: cannot be read ({error})") from error
    if len(data) > most:
        raise TigonError(f"{path}: is larger than {most} bytes")
    return data


def load_weights(folder: Path, model: nn.Module, given: dict[str, float]) -> None:
    """Load the weights of a folder into a model on the device `meta`, which has no memory yet.

    Names, shapes and types are compared first, so that neither a config nor a file can request
    more memory than the file has bytes.

    Arguments:
        given: tensors () of the model that are not in the file
    Raises:
        TigonError: if the file is not a safetensors file, or contains another model; it says why
    """
    from safetensors import SafetensorError, safe_open

    path = _found(folder, WEIGHTS)
    wanted = {n: own for n, own in model.state_dict().items() if n not in given}
    try:
        with safe_open(path, framework="pt") as file:
            _compare(path, file, wanted)
            found = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TigonError(f"{path}: is not a safetensors file, or damaged ({reason})") from error
    for name, tensor in found.items():
        if not tensor.isfinite().all():
            raise TigonError(f"{path}: {name} has values that are not finite")
    found |= {name: torch.tensor(value) for name, value in given.items()}
    try:
        model.to_empty(device="cpu").load_state_dict(found)
    except ValueError as error:
        raise TigonError(f"{path}: {error}") from error


def _compare(path: Path, file: Any, wanted: dict[str, Tensor]) -> None:  # noqa: ANN401
    names = set(file.keys())
    for name in sorted(names ^ wanted.keys()):
        said = "is one tensor too many" if name in names else "is missing"
        raise TigonError(f"{path}: {name[:80]!r} {said} for the model of config.json")
    for name in sorted(names):
        part, own = file.get_slice(name), wanted[name]
        shape, dtype = tuple(part.get_shape()), part.get_dtype()
        if shape != own.shape:
            raise TigonError(f"{path}: {name} has shape {shape}, unlike the model of config.json")
        if dtype != DTYPES[own.dtype]:
            raise TigonError(f"{path}: {name} has type {dtype}, unlike the model of config.json")
