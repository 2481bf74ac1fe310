"""The base of all learners: chains, then a loss.

`run_chains` moves the chains of a batch while network parameters get no gradient. `forward` is the
loss on their samples, so that DistributedDataParallel wraps one module. A trainer calls `begin`,
`run_chains` and `forward`, takes a step of its optimizers, and calls `after_update`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tigon.choices import require_choice
from tigon.data.batches import Batch
from tigon.distributed import all_sum
from tigon.learners.metrics import Metric
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.random.streams import Rng, RowRng

Metrics = dict[str, Tensor]
Record = dict[str, Any]
"""The record of one iteration: numbers by name; or an event of the guard, with a key `event`."""
Optimizers = torch.optim.Optimizer | Mapping[str, torch.optim.Optimizer]
Precision = Literal["float32", "bfloat16"]

RECENT = 50  # iterations by which a run is judged; shorter runs are not judged
SILENCE = 1e-12  # gradient norm below which a network is dead


class Learner(nn.Module, ABC):
    """Alternates between running chains and taking one gradient step on a model.

    Attributes:
        model: the model that is trained
        metrics: the metrics that it logs and that are displayed; more may be logged
        masks: whether it learns from images with missing values, by `Batch.mask`
        measure: name of the metric that measures the model's quality, lower is better: the
            checkpoint with its lowest mean is the best; none if empty
        gradient_evaluations: number of (forward and backward) passes of the network over one
            example so far; divide by the number of examples for passes over the set
        precision: precision of the network's matrix products, in the loss and in a descriptor's
            chains; a generator's latents differ by less than bfloat16 can resolve
        averaged: averaged weights by their names in `state_dict`, if a trainer keeps them:
            `after_update` applies to them the changes that it makes to weights
    """

    model: Model
    metrics: tuple[Metric, ...] = ()
    masks: ClassVar[bool] = False
    measure: ClassVar[str] = ""
    averaged: dict[str, Tensor] | None = None
    gradient_evaluations: float = 0
    precision: Precision = "float32"

    @property
    @abstractmethod
    def evaluations_per_example(self) -> float:
        """Passes of the network that one iteration takes for each example of its batch.

        Passes over smaller images count by their number of pixels.
        """

    @property
    def given(self) -> tuple[str, ...]:
        """Names of state that is given, not learned: a checkpoint and an average keep it so."""
        return ()

    def evaluations_at(self, progress: float) -> float:
        """Return what `evaluations_per_example` is for an iteration that begins at `progress`."""
        return self.evaluations_per_example

    def begin(self, progress: float) -> None:  # noqa: B027
        """Prepare the iteration that begins at `progress` in [0, 1] through the run."""

    def products(self) -> AbstractContextManager[None]:
        """Return a context in which matrix products have the learner's precision."""
        require_choice("precision", self.precision, Precision)
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(next(self.parameters()).device.type, torch.bfloat16)

    @abstractmethod
    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Move the chains of this batch and return their points."""

    @abstractmethod
    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return this process's part of the loss of a batch and its samples, and the metrics.

        Parts sum to the loss over processes; metrics are those of the whole batch in each process.
        """

    def completed(self, batch: Batch, rng: Rng) -> Batch:
        """Return a batch with what the model shows in the place of missing values, without a mask.

        Raises:
            ValueError: if values are missing, and this kind of learner does not learn from such
        """
        if batch.mask is not None:
            raise ValueError(f"a {type(self).__name__} needs images without missing values")
        return batch

    def sample(self, count: int, rng: Rng) -> Tensor:
        """Draw images from the model, (count, C, H, W)."""
        return self.model.sample(count, rng)

    def show(self, count: int) -> Tensor:
        """Return what the first `count` chains show now, (count, C, H, W), for the figures.

        If chains do not persist, these are draws from the model.
        """
        return self.sample(count, RowRng(0, 0, range(count), "show"))

    def chain_tensors(self) -> dict[str, Tensor]:
        """Return all state of the chains between iterations, by name, except for `files`."""
        return {}

    def load_chains(self, tensors: dict[str, Tensor], files: ChainStore | None = None) -> None:
        """Load the chains as returned by `chain_tensors`, and those that were in files."""
        if tensors or files:
            raise ValueError(f"chains {', '.join(tensors) or 'in files'}: this learner has none")

    @property
    def files(self) -> ChainStore | None:
        """The chains if they are in files, which are saved as such."""
        return None

    def adopt(self, other: "Learner") -> None:
        """Begin where another learner of the same images ended: with its weights and chains.

        Raises:
            ValueError: if this kind of learner cannot begin there; it says why
        """
        raise ValueError(f"a {type(self).__name__} cannot begin where another learner ended")

    def scale_steps(self, factor: float) -> None:  # noqa: B027
        """Multiply the step sizes of all chains by a factor from now on; a no-op without any."""

    def chains_finite(self, samples: Tensor) -> bool:
        """Return whether the points of this iteration's chains are finite.

        Arguments:
            samples: what `run_chains` returned
        """
        return bool(samples.isfinite().all())

    def ran_away(self, batch: Batch, rng: Rng) -> bool:
        """Return whether chains with points that are not finite had first left by their own steps.

        Otherwise the log-density was not finite where chains should be. Called after trouble.
        """
        return False

    def bad_chains(self) -> Tensor:
        """Return the rows of chains that are where no chain should be, (B,); none by default."""
        return torch.zeros(0, dtype=torch.long)

    def restart_chains(self, index: Tensor, rng: Rng) -> None:  # noqa: B027
        """Restart the chains of these rows (B,); a no-op if chains do not persist."""

    def after_update(self, optimizer: Optimizers) -> None:  # noqa: B027
        """Make the changes that are due after an update; a no-op by default.

        Arguments:
            optimizer: the optimizer that has taken its step, or several by name;
                `optimizer_state` returns their state for a parameter
        """

    def complete_model(self) -> None:  # noqa: B027
        """Update what the model holds besides its weights, before it is saved.

        All processes call it. A no-op by default.
        """

    def map_chains(self, function: Callable[[Tensor], Tensor]) -> None:  # noqa: B027
        """Replace every tensor of the chains by `function` of it; a no-op without chains."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Learner":
        """Make chains follow the parameters when `to`, `double` and the like move them."""
        super()._apply(fn, recurse)
        self.map_chains(fn)
        return self


def optimizer_state(optimizer: Optimizers | None, parameter: Tensor) -> dict[str, Any]:
    """Return the state for a parameter in the optimizer, or in the one among several that has it.

    Empty if there is none. The optimizer continues with any changes that are made to it.
    """
    held = optimizer.values() if isinstance(optimizer, Mapping) else [optimizer]
    states = (one.state.get(parameter) for one in held if one is not None)
    return next((state for state in states if state), {})


def forget_moments(optimizer: Optimizers, parameter: Tensor) -> None:
    """Remove the state for a parameter, as if the optimizer had never stepped."""
    for one in optimizer.values() if isinstance(optimizer, Mapping) else [optimizer]:
        one.state.pop(parameter, None)


def mean_over(values: Tensor, batch: Batch) -> Tensor:
    """Return the mean of one value per row, (B,), over the whole batch in all processes."""
    return all_sum(values.detach().sum()) / batch.size


def spread(shown: Tensor, observed: Tensor, batch: Batch) -> Tensor:
    """Return how much images (B, *) differ among themselves, relative to the observed images.

    This is the ratio of the two variances over the batch, summed over pixels; 1 if the batch has
    only one image, or the observed images differ by no more than rounding.
    """
    if batch.size < 2:
        return observed.new_ones(())
    ours, theirs = variance(shown, batch), variance(observed, batch)
    rounding = (2 * torch.finfo(observed.dtype).eps) ** 2 * observed.shape[1:].numel()
    return torch.where(theirs > rounding, ours / theirs, torch.ones_like(theirs))


def variance(images: Tensor, batch: Batch) -> Tensor:
    """Return the variance over the whole batch of images (B, *), summed over pixels."""
    images = images.detach()
    mean = all_sum(images.sum(0)) / batch.size
    return all_sum(((images - mean) ** 2).sum()) / (batch.size - 1)


def contrastive_loss(f_observed: Tensor, f_synthesised: Tensor, batch: Batch) -> Tensor:
    """Return (6), mean f(synthesised) - mean f(observed), from values (B,) and (B,).

    With several processes, this is the process's part of it: the parts sum to (6). Its gradient
    in theta is minus that of the log-likelihood if synthesised images are draws from the model.
    """
    return f_synthesised.sum() / batch.size - f_observed.sum() / batch.size
