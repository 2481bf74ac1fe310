"""Checkpoints: weights, training state and chain rows, written whole or not at all.

A checkpoint is a folder RUN/checkpoints/N with `model.safetensors` (the model's state),
`chains.safetensors` (chain rows), `training.pt` (the optimizer and counters, loadable with
`weights_only`) and `manifest.json` (the SHA-256 of each). Chains in files are copied to `chains/`,
and those of the guard's good states to `good-0/`, `good-1/`. It is written under another name,
flushed, and renamed. Which of them stay, see `tigon.training.kept`.
"""

import json
import math
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tigon.data.cache import cache_folder
from tigon.distributed import world
from tigon.errors import TigonError
from tigon.files import flush_to_disk, refusal
from tigon.learners.base import Learner
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.training.iteration import Training
from tigon.training.kept import checksum, remove, tidy
from tigon.training.snapshot import Snapshot

M = TypeVar("M", bound=Model)
CHAINS, GOOD = "chains", "good-{}"


def save_checkpoint(
    folder: Path, training: Training, keep: int = 2, measure: dict[str, float] | None = None
) -> Path:
    """Save the training's state as `folder`/N, and delete all but the last `keep` and the best.

    All processes take part, since each has chains of its own; the first writes.

    Arguments:
        keep: how many of the last stay, >= 1
        measure: what this one is worth, by the measure's name; see `tigon.training.kept`
    Raises:
        TigonError: if the disk refuses; earlier checkpoints are untouched
    """
    state = _gather(training)
    if world().rank > 0:
        return folder / str(training.iteration)
    final = folder / str(training.iteration)
    work = folder / f".new-{training.iteration}"
    try:
        for left in folder.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        work.mkdir(parents=True)
        _write(work, state, measure or {})
        remove(final)
        work.rename(final)
        flush_to_disk(folder)
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(work, ignore_errors=True)
        raise TigonError(
            f"checkpoint {final} cannot be written; earlier ones are intact ({refusal(error)})"
        ) from error
    tidy(folder, keep, training.iteration)
    return final


def load_training(path: Path, training: Training) -> None:
    """Bring a training to the state of a checkpoint.

    Raises:
        TigonError: if it does not fit
    """
    with _refusing(path):
        files = ChainStore.mapped(path / CHAINS) if (path / CHAINS).exists() else None
        training.learner.load_chains(load_file(path / "chains.safetensors"), files)
        training.learner.load_state_dict(load_file(path / "model.safetensors"))
        state = torch.load(path / "training.pt", map_location=training.device, weights_only=True)
        _refuse_other_state(state, training)
        training.optimizer.load_state_dict(state["optimizer"])
        training.iteration, training.seconds = state["iteration"], state["seconds"]
        training.learner.gradient_evaluations = state["gradient_evaluations"]
        training.rate_factor = state.get("rate_factor", 1.0)
        training.step_factor = state.get("step_factor", 1.0)
        training.attempts = state.get("attempts", 0)
        training.rollbacks = state.get("rollbacks", 0)
        training.remembered = _with_files(path, state.get("guard"))


def load_learner(
    path: Path, restored: Callable[[dict[str, Tensor], ChainStore | None], Learner]
) -> Learner:
    """Return the learner of a checkpoint, which `restored` builds from its chain rows.

    Rows in files are copied: what becomes of them leaves the checkpoint as it is.

    Raises:
        TigonError: if they do not fit
    """
    with _refusing(path):
        files = _copied(path / CHAINS) if (path / CHAINS).exists() else None
        learner = restored(load_file(path / "chains.safetensors"), files)
        learner.load_state_dict(load_file(path / "model.safetensors"))
        return learner.eval()


def load_model(path: Path, build: Callable[[], M]) -> M:
    """Return the model of a checkpoint, without chains or optimizer, which are not read.

    Arguments:
        build: makes the model, with any weights
    Raises:
        TigonError: if they do not fit
    """
    with _refusing(path):
        model, held = build(), load_file(path / "model.safetensors")
        model.load_state_dict({name.removeprefix("model."): held[name] for name in held})
        return model.eval()


def _copied(folder: Path) -> ChainStore:
    """Return a store of its own with the rows of a folder."""
    return ChainStore.scratch(
        cache_folder(), lambda new: shutil.copytree(folder, new, dirs_exist_ok=True)
    )


def _with_files(path: Path, guard: dict[str, Any] | None) -> dict[str, Any] | None:
    """Give the good states that the guard remembers their chains in files, where they have any."""
    for number, state in enumerate((guard or {}).get("good", [])):
        if (path / GOOD.format(number)).exists():
            state["files"] = _copied(path / GOOD.format(number))
    return guard


def _refuse_other_state(state: dict[str, Any], training: Training) -> None:
    """Refuse what the counters, Adam and the guard could not go on from.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: if it is something else
    """
    for name in ("iteration", "gradient_evaluations", "attempts"):
        if type(state.get(name, 0)) is not int or state.get(name, 0) < 0:
            raise ValueError(f"{name} is no count")
    for name in ("seconds", "rate_factor", "step_factor"):
        if type(state.get(name, 1.0)) is not float or not 0 <= state.get(name, 1.0) < math.inf:
            raise ValueError(f"{name} is no number")
    for held in (state.get("guard") or {}).get("good", []):
        Snapshot(**held)
    saved, fresh = state["optimizer"], training.optimizer.state_dict()
    settings = [[g | {"lr": 0.0} for g in groups["param_groups"]] for groups in (saved, fresh)]
    if settings[0] != settings[1]:
        raise ValueError("the optimizer's settings are others")
    for number, moments in saved["state"].items():
        shape = training.optimizer.param_groups[0]["params"][number].shape
        wanted = {"step": torch.Size([]), "exp_avg": shape, "exp_avg_sq": shape}
        if {name: value.shape for name, value in moments.items()} != wanted:
            raise ValueError("the optimizer's moments have other shapes")
        dense = all(v.stride() == torch.empty_like(v).stride() for v in moments.values())
        if not dense or not moments["step"] >= 0:
            raise ValueError("the optimizer's moments are no such tensors")


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
    """What a checkpoint is made of; `files` has chains in files by the name of their folder."""

    weights: dict[str, Tensor]
    chains: dict[str, Tensor]
    training: dict[str, Any]
    files: dict[str, ChainStore]


def _gather(training: Training) -> _State:
    """Return the state of a training, with the chains of all processes."""
    learner, guard = training.learner, training.memory()
    learner.complete_model()
    good = [state.pop("files", None) for state in guard["good"]] if guard else []
    stores = {CHAINS: learner.files} | {GOOD.format(k): store for k, store in enumerate(good)}
    return _State(
        {name: value.contiguous() for name, value in learner.state_dict().items()},
        {name: value.contiguous() for name, value in learner.chain_tensors().items()},
        {
            "optimizer": training.optimizer.state_dict(),
            "iteration": training.iteration,
            "seconds": training.seconds,
            "gradient_evaluations": learner.gradient_evaluations,
            "rate_factor": training.rate_factor,
            "step_factor": training.step_factor,
            "attempts": training.attempts,
            "rollbacks": training.rollbacks,
            "guard": guard,
        },
        {name: store for name, store in stores.items() if store is not None},
    )


def _write(folder: Path, state: _State, measure: dict[str, float]) -> None:
    save_file(state.weights, folder / "model.safetensors")
    save_file(state.chains, folder / "chains.safetensors")
    _write_state(folder / "training.pt", state.training)
    for name, store in state.files.items():
        store.save(folder / name)
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    sums = {name: checksum(folder / name) for name in names}
    manifest = {"sha256": sums, "measure": measure}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    for path in folder.rglob("*"):
        flush_to_disk(path)


def _write_state(path: Path, state: dict[str, Any]) -> None:
    """Write training.pt; where the disk refuses, say so, and not what torch makes of it."""
    with path.open("xb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            cause = error.__context__
            raise (cause if isinstance(cause, OSError) else error) from error
