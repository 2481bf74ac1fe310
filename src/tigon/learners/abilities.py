"""What some learners can do besides learning, as protocols: ask for these, never for a kind."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from tigon.data.batches import Batch
from tigon.densities.log_density import LogDensity
from tigon.mcmc.chain import MCMC, Trace
from tigon.mcmc.store import ChainStore
from tigon.random.streams import Rng


class InfersLatents(Protocol):
    """A learner with one chain per training image, on the posterior of its latents.

    Attributes:
        model: a model with `latent_dim`, `latents`, `decode`, `posterior` and `sigma`
        chains: how latents move
        store: the current points of the chains
        step_size: the step size that all chains share
        expand: whether training moves latents towards the prior's moments
    """

    model: Any
    chains: MCMC
    store: ChainStore
    step_size: float
    expand: bool

    @property
    def like(self) -> Tensor:
        """A tensor with the model's type and device."""

    @property
    def prior_moments(self) -> tuple[Tensor, Tensor] | None:
        """The prior's mean (d,) and covariance (d, d), as doubles; None if nobody knows them."""

    def chain_density(self, batch: Batch) -> AbstractContextManager[LogDensity]:
        """Yield the posterior of a batch's latents, with the parameters frozen."""

    def step_sizes(self, latents: Tensor) -> Tensor:
        """Return the step size of each chain, (B,)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, d) to images (B, C, H, W)."""


class SynthesisesImages(Protocol):
    """A learner whose chains synthesise images, each from a start image.

    Attributes:
        model: a model with `image_shape`
        batch_statistics: whether chains share batch statistics during training
    """

    model: Any
    batch_statistics: bool

    @property
    def chains(self) -> MCMC:
        """Kernel and steps from a start image to a synthesised one."""

    def chain_density(self, batch: Batch) -> AbstractContextManager[LogDensity]:
        """Yield the model's log-density, with the parameters frozen."""

    def completed(self, batch: Batch, rng: Rng) -> Batch:
        """Return a batch with images in the place of missing values, without a mask."""

    def sample_chain(
        self, index: Tensor, rng: Rng, batch_statistics: bool = False, keep: int = 0
    ) -> Trace:
        """Run a chain from the start image of each training image `index` (B,)."""
