"""What some learners can do besides learning: asked for by those who use it, never by kind."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from tigon.data.batches import Batch
from tigon.densities.log_density import LogDensity
from tigon.mcmc.chain import MCMC, Trace
from tigon.mcmc.store import ChainStore
from tigon.random.streams import Rng


class InfersLatents(Protocol):
    """A learner with one latent chain for each training image, on its posterior.

    Attributes:
        model: with `latent_dim`, `latents`, `decode`, `posterior` and `sigma`
        chains: how latents move
        store: where the chains are
        step_size: that all of them share
        expand: whether learning gives latents the prior's moments
    """

    model: Any
    chains: MCMC
    store: ChainStore
    step_size: float
    expand: bool

    @property
    def like(self) -> Tensor:
        """A tensor of the model's type and device."""

    def chain_density(self, batch: Batch) -> AbstractContextManager[LogDensity]:
        """Give the posterior of a batch's latents, with the parameters frozen."""

    def step_sizes(self, latents: Tensor) -> Tensor:
        """Return the step size of each chain, (B,)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images of latents (B, d), (B, C, H, W)."""


class SynthesisesImages(Protocol):
    """A learner whose images chains synthesise, from a start image each.

    Attributes:
        batch_statistics: whether chains share them while learning
    """

    batch_statistics: bool

    @property
    def chains(self) -> MCMC:
        """Kernel and steps from a start image to a synthesised one."""

    def chain_density(self, batch: Batch) -> AbstractContextManager[LogDensity]:
        """Give the model's log-density, with the parameters frozen."""

    def sample_chain(
        self, index: Tensor, rng: Rng, batch_statistics: bool = False, keep: int = 0
    ) -> Trace:
        """Run a chain from the start image of each training image `index` (B,)."""
