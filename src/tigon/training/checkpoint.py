"""Checkpoints: weights, training state and chain rows, written atomically.

A checkpoint is a folder RUN/checkpoints/N with `model.safetensors` (the model's state, with
averaged weights if there are any), `chains.safetensors` (chain rows), `training.pt` (optimizers
and counters, loaded with `weights_only`) and `manifest.json` (the SHA-256 of each). If weights are
averaged, `live.safetensors` has those with which training continues. Chains in files are copied
to `chains/`, and those of the guard's good states to `good-0/`, `good-1/`. It is written under
another name, flushed, and renamed. `tigon.training.checkpoint_folder` decides which are kept.
"""

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from tigon.data.cache_place import cache_folder
from tigon.distributed import world
from tigon.errors import TigonError
from tigon.files import flush_to_disk, refusal
from tigon.learners.base import Learner
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.training.checkpoint_folder import checksum, remove, tidy

MODEL, LIVE, TRAINING = "model.safetensors", "live.safetensors", "training.pt"
M = TypeVar("M", bound=Model)
CHAINS, GOOD = "chains", "good-{}"


class Stateful(Protocol):
    """What is saved: a trainer."""

    iteration: int
    device: torch.device
    learner: Learner

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""


def save_checkpoint(
    folder: Path, trainer: Stateful, keep: int = 2, measure: dict[str, float] | None = None
) -> Path:
    """Save the trainer's state as `folder`/N, and delete all but the last `keep` and the best.

    All processes take part, since each has its own chains; the first one writes.

    Arguments:
        keep: number of last checkpoints to keep, >= 1
        measure: the mean of the learner's measure, by its name; see `training.checkpoint_folder`
    Raises:
        TigonError: if it cannot be written; earlier checkpoints are untouched
    """
    from safetensors import SafetensorError

    trainer.learner.complete_model()
    state = _divided(trainer.state_dict())
    final = folder / str(trainer.iteration)
    if world().rank > 0:
        return final
    work = folder / f".new-{trainer.iteration}"
    try:
        for left in folder.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        work.mkdir(parents=True)
        _write(work, state, measure or {})
        remove(final)
        work.rename(final)
        flush_to_disk(folder)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TigonError(
            f"checkpoint {final} cannot be written; earlier ones are intact ({refusal(error)})"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    tidy(folder, keep, trainer.iteration)
    return final


def load_checkpoint(path: Path, trainer: Stateful) -> None:
    """Restore a trainer to the state of a checkpoint.

    Raises:
        TigonError: if it does not fit
    """
    from safetensors.torch import load_file

    with _refusing(path):
        files = ChainStore.mapped(path / CHAINS) if (path / CHAINS).exists() else None
        place = torch.device("cpu") if trainer.device.type == "mps" else trainer.device
        state = torch.load(path / TRAINING, map_location=place, weights_only=True)  # has doubles
        model, live = load_file(path / MODEL), path / LIVE
        found: dict[str, Any] = {
            **state,
            "weights": load_file(live) if live.exists() else model,
            "chains": load_file(path / "chains.safetensors"),
            "files": files,
            "guard": _with_files(path, state["guard"]),
        }
        if state["average"] is not None:
            found["average"] = {**state["average"], "weights": model}
        trainer.load_state_dict(found)


def load_learner(
    path: Path, restored: Callable[[dict[str, Tensor], ChainStore | None], Learner]
) -> Learner:
    """Return the learner of a checkpoint, which `restored` builds from its chain rows.

    Rows in files are copied, so the checkpoint is not changed later.

    Raises:
        TigonError: if they do not fit
    """
    from safetensors.torch import load_file

    with _refusing(path):
        files = _copied(path / CHAINS) if (path / CHAINS).exists() else None
        learner = restored(load_file(path / "chains.safetensors"), files)
        learner.load_state_dict(load_file(path / MODEL))
        return learner.eval()


def load_model(path: Path, build: Callable[[], M]) -> M:
    """Return the model in a checkpoint, without reading chains or optimizer.

    Arguments:
        build: makes the model, with any weights
    Raises:
        TigonError: if they do not fit
    """
    from safetensors.torch import load_file

    with _refusing(path):
        model, held = build(), load_file(path / MODEL)
        model.load_state_dict({name.removeprefix("model."): held[name] for name in held})
        return model.eval()


def _copied(folder: Path) -> ChainStore:
    """Return a separate store with the rows in a folder."""
    return ChainStore.scratch(
        cache_folder(), lambda new: shutil.copytree(folder, new, dirs_exist_ok=True)
    )


def _with_files(path: Path, guard: dict[str, Any] | None) -> dict[str, Any] | None:
    """Load the chains in files of the guard's good states, if they have any."""
    for number, state in enumerate((guard or {}).get("good", [])):
        if (path / GOOD.format(number)).exists():
            state["files"] = _copied(path / GOOD.format(number))
    return guard


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:  # whose own text advises to load it all the same
        raise TigonError(
            f"checkpoint {path}: training.pt is damaged, or holds more than tensors and numbers; "
            "it was not loaded; delete this checkpoint or start a new run"
        ) from error
    except Exception as error:  # readers of broken files raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TigonError(f"checkpoint {path} does not fit its run's config ({reason})") from error


class _State(NamedTuple):
    """The parts of a checkpoint; `files` has chains in files by the name of their folder."""

    tensors: dict[str, dict[str, Tensor]]
    training: dict[str, Any]
    files: dict[str, ChainStore]


def _divided(state: dict[str, Any]) -> _State:
    """Split a trainer's state into files."""
    weights, average, guard = state.pop("weights"), state["average"], state["guard"]
    tensors = {MODEL: weights, "chains.safetensors": state.pop("chains")}
    if average is not None:
        tensors |= {MODEL: average.pop("weights"), LIVE: weights}
    good = [held.pop("files") for held in guard["good"]] if guard else []
    stores = {CHAINS: state.pop("files")} | {GOOD.format(k): store for k, store in enumerate(good)}
    files = {name: store for name, store in stores.items() if store is not None}
    return _State(tensors, state, files)


def _write(folder: Path, state: _State, measure: dict[str, float]) -> None:
    from safetensors.torch import save_file  # as above: a trainer that saves nothing needs none

    for name, tensors in state.tensors.items():
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
    _write_state(folder / TRAINING, state.training)
    for name, store in state.files.items():
        store.save(folder / name)
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    sums = {name: checksum(folder / name) for name in names}
    manifest = {"sha256": sums, "measure": measure}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    for path in folder.rglob("*"):
        flush_to_disk(path)


def _write_state(path: Path, state: dict[str, Any]) -> None:
    """Write training.pt; report an error of the disk as such rather than torch's own error."""
    with path.open("xb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            cause = error.__context__
            raise (cause if isinstance(cause, OSError) else error) from error
