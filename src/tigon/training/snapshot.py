"""All that a training carries from iteration to iteration, copied and put back."""

from copy import deepcopy
from typing import Any, NamedTuple

from torch import Tensor

from tigon.mcmc.store import ChainStore
from tigon.training.iteration import Training


class Snapshot(NamedTuple):
    """Weights, chains, optimizer and iteration; noise and data order are functions of the last.

    Chains that are in files are copied there, and are `files`.
    """

    weights: dict[str, Tensor]
    chains: dict[str, Tensor]
    optimizer: dict[str, Any]
    iteration: int
    step_factor: float
    files: ChainStore | None = None


def take(training: Training) -> Snapshot:
    """Copy the state of a training, on its device or disk."""
    learner = training.learner
    return Snapshot(
        {name: value.clone() for name, value in learner.state_dict().items()},
        {name: value.clone() for name, value in learner.chain_tensors().items()},
        deepcopy(training.optimizer.state_dict()),
        training.iteration,
        training.step_factor,
        learner.files.copied() if learner.files else None,
    )


def put_back(training: Training, snapshot: Snapshot) -> None:
    """Return a training to a snapshot; work done since stays counted, and step sizes reduced."""
    training.learner.load_state_dict(snapshot.weights)
    chains = {name: value.clone() for name, value in snapshot.chains.items()}
    training.learner.load_chains(chains, snapshot.files)
    training.learner.scale_steps(training.step_factor / snapshot.step_factor)
    training.optimizer.load_state_dict(deepcopy(snapshot.optimizer))
    training.iteration = snapshot.iteration
