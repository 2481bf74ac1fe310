"""model.safetensors, from anywhere: checked against the model before memory is taken for it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tigon.errors import TigonError

DTYPES = {torch.float32: "F32", torch.int64: "I64"}
Fits = Callable[[Sequence[int]], bool]


def load_weights(
    path: Path,
    build: Callable[[], nn.Module],
    more: dict[str, Fits],
    numbers: Mapping[str, float] | None = None,
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return the model with the weights of a file, and the file's other tensors.

    Names, shapes and types are compared with a model that has no memory yet, so that neither a
    config nor a file can ask for more memory than the file has bytes.

    Arguments:
        build: makes the model
        more: the other tensors, float32: whether a shape is one that each may have
        numbers: tensors () of the model that are not in the file
    Raises:
        TigonError: if the file is no safetensors file, or holds another model; it says what
    """
    model, given = _without_memory(path, build), numbers or {}
    try:
        with safe_open(path, framework="pt") as file:
            wanted = {n: own for n, own in model.state_dict().items() if n not in given}
            _compare(path, file, wanted, more)
            found = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise TigonError(f"{path}: is no safetensors file, or damaged ({reason})") from error
    for name, tensor in found.items():
        if not tensor.isfinite().all():
            raise TigonError(f"{path}: {name} holds values that are not finite")
    others = {name: found.pop(name) for name in more}
    found |= {name: torch.tensor(value) for name, value in given.items()}
    model.to_empty(device="cpu").load_state_dict(found)
    return model.eval(), others


def _without_memory(path: Path, build: Callable[[], nn.Module]) -> nn.Module:
    try:
        with torch.device("meta"):
            return build()
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TigonError(f"{path.with_name('config.json')}: no such network ({reason})") from error


def _compare(path: Path, file: Any, wanted: dict[str, Tensor], more: dict[str, Fits]) -> None:  # noqa: ANN401
    names = set(file.keys())
    for name in sorted(names ^ (wanted.keys() | more.keys())):
        said = "is one tensor too many" if name in names else "is missing"
        raise TigonError(f"{path}: {name[:80]!r} {said} for the model of config.json")
    for name in sorted(names):
        part = file.get_slice(name)
        shape, dtype = tuple(part.get_shape()), part.get_dtype()
        own = wanted.get(name)
        fits = more[name](shape) if own is None else shape == own.shape
        if not fits:
            raise TigonError(f"{path}: {name} has shape {shape}, and the model of config.json not")
        if dtype != DTYPES[torch.float32 if own is None else own.dtype]:
            raise TigonError(f"{path}: {name} has type {dtype}, which is not that of this model")
