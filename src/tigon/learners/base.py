"""What every learner is: chains, then a loss.

`run_chains` moves the chains of a batch while network parameters get no gradient; `forward` is the
loss of what they brought, so that a wrapper for many processes wraps one module. A trainer calls
`begin`, then one, then the other, takes its optimizers' step, and calls `after_update`.
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
"""What one iteration leaves: numbers by name; or an event of the guard, with `event` in it."""
Optimizers = torch.optim.Optimizer | Mapping[str, torch.optim.Optimizer]
Precision = Literal["float32", "bfloat16"]

RECENT = 50  # iterations by which a run is judged, and a shorter one is not
SILENCE = 1e-12  # of the gradient of a network that is dead


class Learner(nn.Module, ABC):
    """Alternates running chains and one gradient step on a model.

    Attributes:
        model: what is learned
        metrics: what it logs and others show; more may be logged
        measure: name of the metric that says how good the model is, lower better: the checkpoint
            with its lowest mean is the best; none if empty
        gradient_evaluations: passes (forward and backward) of the network over one example, so
            far; divide by the number of examples for passes over the set
        precision: of the network's products, in the loss and in a descriptor's chains; a
            generator's latents are told apart by less than bfloat16 can
        averaged: averaged weights by their names in `state_dict`, where a trainer keeps them:
            what `after_update` does to weights, it does to these
    """

    model: Model
    metrics: ClassVar[tuple[Metric, ...]] = ()
    measure: ClassVar[str] = ""
    averaged: dict[str, Tensor] | None = None
    gradient_evaluations: int = 0
    precision: Precision = "float32"

    @property
    @abstractmethod
    def evaluations_per_example(self) -> int:
        """Passes of the network that one iteration takes for each example of its batch."""

    def begin(self, progress: float) -> None:  # noqa: B027
        """Prepare the iteration that begins at `progress` in [0, 1] through the run."""

    def products(self) -> AbstractContextManager[None]:
        """Let the network multiply in the learner's precision, within; sums stay as they are."""
        require_choice("precision", self.precision, Precision)
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(next(self.parameters()).device.type, torch.bfloat16)

    @abstractmethod
    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Move the chains of this batch and return where they are."""

    @abstractmethod
    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return this process's part of the loss of a batch and its chains' samples, and metrics.

        Parts sum to the loss over processes; metrics are of the whole batch in each of them.
        """

    def sample(self, count: int, rng: Rng) -> Tensor:
        """Draw images of the model, (count, C, H, W)."""
        return self.model.sample(count, rng)

    def show(self, count: int) -> Tensor:
        """Return what the first `count` chains now show, (count, C, H, W), for the figures.

        Draws of the model, where chains do not persist.
        """
        return self.sample(count, RowRng(0, 0, range(count), "show"))

    def chain_tensors(self) -> dict[str, Tensor]:
        """Return all that the chains carry from iteration to iteration, but `files`, by name."""
        return {}

    def load_chains(self, tensors: dict[str, Tensor], files: ChainStore | None = None) -> None:
        """Take the chains as `chain_tensors` gave them, and those that were in files."""
        if tensors or files:
            raise ValueError(f"chains {', '.join(tensors) or 'in files'}: this learner has none")

    @property
    def files(self) -> ChainStore | None:
        """The chains, where they are in files, which are saved as such."""
        return None

    def scale_steps(self, factor: float) -> None:  # noqa: B027
        """Multiply the step sizes of all chains by a factor, from now on; nothing without any."""

    def ran_away(self, batch: Batch, rng: Rng) -> bool:
        """Return whether chains whose points are not finite had left first, by their steps.

        Otherwise the log-density was not finite where chains should be. Asked after trouble.
        """
        return False

    def bad_chains(self) -> Tensor:
        """Return the rows of chains that are where no chain should be, (B,); none in most."""
        return torch.zeros(0, dtype=torch.long)

    def restart_chains(self, index: Tensor, rng: Rng) -> None:  # noqa: B027
        """Start the chains of these rows (B,) anew; nothing where chains do not persist."""

    def after_update(self, optimizer: Optimizers) -> None:  # noqa: B027
        """Change what the update has made due; nothing in most learners.

        Arguments:
            optimizer: that has taken its step, or several by name; `optimizer_state` gives what
                they remember of a parameter
        """

    def complete_model(self) -> None:  # noqa: B027
        """Bring up to date what the model keeps besides its weights, before it is saved.

        All processes call it. Nothing in most learners.
        """

    def map_chains(self, function: Callable[[Tensor], Tensor]) -> None:  # noqa: B027
        """Replace every tensor of the chains by `function` of it; nothing without any."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Learner":
        """Let chains follow the parameters wherever `to`, `double` and their like move them."""
        super()._apply(fn, recurse)
        self.map_chains(fn)
        return self


def optimizer_state(optimizer: Optimizers | None, parameter: Tensor) -> dict[str, Any]:
    """Return what the optimizer remembers of a parameter, or that of several which holds it.

    Empty where it remembers nothing. What is changed in it, the optimizer goes on with.
    """
    held = optimizer.values() if isinstance(optimizer, Mapping) else [optimizer]
    states = (one.state.get(parameter) for one in held if one is not None)
    return next((state for state in states if state), {})


def mean_over(values: Tensor, batch: Batch) -> Tensor:
    """Return the mean of one value a row, (B,), over the whole batch, those elsewhere included."""
    return all_sum(values.detach().sum()) / batch.size


def spread(shown: Tensor, observed: Tensor, batch: Batch) -> Tensor:
    """Return how far images (B, *) differ among themselves, as a part of how far observed ones do.

    The ratio of the two variances over the batch, summed over pixels; 1 where a batch has but one
    image, or the observed do not differ.
    """
    if batch.size < 2:
        return observed.new_ones(())
    ours, theirs = variance(shown, batch), variance(observed, batch)
    return torch.where(theirs > 0, ours / theirs, torch.ones_like(theirs))


def variance(images: Tensor, batch: Batch) -> Tensor:
    """Return the variance over the whole batch of images (B, *), summed over pixels."""
    images = images.detach()
    mean = all_sum(images.sum(0)) / batch.size
    return all_sum(((images - mean) ** 2).sum()) / (batch.size - 1)


def contrastive_loss(f_observed: Tensor, f_synthesised: Tensor, batch: Batch) -> Tensor:
    """Return (6), mean f(synthesised) - mean f(observed), from values (B,) and (B,).

    Where the batch is in several processes, this one's part of it: they sum to (6). Its gradient
    in theta is minus that of the log-likelihood, if the synthesised images are draws of the model.
    """
    return f_synthesised.sum() / batch.size - f_observed.sum() / batch.size
