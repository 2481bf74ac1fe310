"""What every learner is: chains, then a loss.

`run_chains` moves the chains of a batch while network parameters get no gradient; `forward` is the
loss of what they brought, so that a wrapper for many processes wraps one module. The loop calls
one, then the other, then `after_update`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from tigon.data.batches import Batch
from tigon.densities import LogDensity
from tigon.streams import Rng

Metrics = dict[str, Tensor]


class Learner(nn.Module, ABC):
    """Alternates running chains and one gradient step on a model.

    Attributes:
        gradient_evaluations: passes (forward and backward) of the network over one example, so
            far; divide by the number of examples for passes over the set
    """

    gradient_evaluations: int = 0

    @property
    @abstractmethod
    def evaluations_per_example(self) -> int:
        """Passes of the network that one iteration takes for each example of its batch."""

    def begin(self, progress: float) -> None:  # noqa: B027
        """Prepare the iteration that begins at `progress` in [0, 1] through the run."""

    @abstractmethod
    def chain_density(self, batch: Batch) -> AbstractContextManager[LogDensity]:
        """Give what the chains of this batch move towards, with the parameters frozen."""

    @abstractmethod
    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Move the chains of this batch and return where they are."""

    @abstractmethod
    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return the loss of a batch and its chains' samples, and what is worth logging."""

    @abstractmethod
    def sample(self, count: int, rng: Rng) -> Tensor:
        """Draw images of the model, (count, C, H, W)."""

    @abstractmethod
    def show(self, count: int) -> Tensor:
        """Return what the first `count` chains now show, (count, C, H, W), for the figures."""

    @abstractmethod
    def chain_tensors(self) -> dict[str, Tensor]:
        """Return all that the chains carry from iteration to iteration, by name."""

    @abstractmethod
    def load_chains(self, tensors: dict[str, Tensor]) -> None:
        """Take the chains as `chain_tensors` gave them."""

    @abstractmethod
    def scale_steps(self, factor: float) -> None:
        """Multiply the step sizes of all chains by a factor, from now on."""

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

    def after_update(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: B027
        """Change what the update has made due; nothing in most learners."""

    @abstractmethod
    def map_chains(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace every tensor of the chains by `function` of it."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Learner":
        """Let chains follow the parameters wherever `to`, `double` and their like move them."""
        super()._apply(fn, recurse)
        self.map_chains(fn)
        return self


def spread(shown: Tensor, observed: Tensor) -> Tensor:
    """Return how far images (B, *) differ among themselves, as a part of how far observed ones do.

    The ratio of the two variances over the batch, summed over pixels; 1 where a batch has but one
    image, or the observed do not differ.
    """
    if len(observed) < 2:
        return observed.new_ones(())
    variance = observed.var(0).sum()
    return torch.where(variance > 0, shown.var(0).sum() / variance, torch.ones_like(variance))


def contrastive_loss(f_observed: Tensor, f_synthesised: Tensor) -> Tensor:
    """Return (6), mean f(synthesised) - mean f(observed), from values (B,) and (B,).

    Its gradient in theta is minus that of the log-likelihood, if the synthesised images are
    draws of the model.
    """
    return f_synthesised.mean() - f_observed.mean()
