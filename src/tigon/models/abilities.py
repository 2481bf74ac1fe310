"""What models can do, as protocols: check `isinstance(model, HasLatents)`, never the kind.

Tensors are declared for type checkers only: from Python 3.12 on, `isinstance` does not look for
members where modules keep their buffers.
"""

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor

from tigon.densities.gaussian import Gaussian
from tigon.mcmc.chain import MCMC
from tigon.models.cold_start import ColdStart, HasPosterior, Reconstruction
from tigon.models.image_noise import ImageNoise
from tigon.random.streams import Rng
from tigon.sizes import ImageSize


@runtime_checkable
class HasLatents(HasPosterior, Protocol):
    """A latent-variable model: latents are drawn, decoded and inferred.

    Attributes:
        latent_dim: d, the number of latents
    """

    latent_dim: int

    def infer(
        self,
        images: Tensor,
        rng: Rng,
        how: ColdStart | None = None,
        mask: Tensor | None = None,
    ) -> Reconstruction:
        """Infer latents of images (B, C, H, W) from a cold start, from what a mask keeps."""


@runtime_checkable
class HasDecoder(HasLatents, Protocol):
    """A latent-variable model whose images are f(z) + sigma eps, with f its `forward`.

    Attributes:
        sigma: standard deviation of the noise, () on the scale of [-1, 1]
    """

    if TYPE_CHECKING:
        sigma: Tensor

    def image_noise(self) -> ImageNoise:
        """Return how images lie about f(z): as residuals were measured, or with sigma alone."""

    def whole_images(self) -> tuple[Tensor, ImageNoise] | None:
        """Return the mean of images (C, H, W) and how they lie about it, if that was measured."""

    def log_prior(self, z: Tensor) -> Tensor:
        """Return the prior's log-density of latents (B, d), (B,), up to a constant."""

    @property
    def log_prior_constant(self) -> float | None:
        """The log of the integral of exp(log_prior), in nats; None if nobody knows it."""


@runtime_checkable
class HasCompletion(Protocol):
    """A model whose chains run on the missing values of images, given the others."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""

    def complete(self, images: Tensor, mask: Tensor, rng: Rng) -> Tensor:
        """Return images (B, C, H, W) with chains' ends where the mask is 0, (B, 1 or C, H, W)."""


@runtime_checkable
class HasLogDensity(Protocol):
    """A model whose log-density of images can be computed, up to a constant."""

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of images (B, C, H, W), (B,)."""


@runtime_checkable
class HasChains(HasLogDensity, Protocol):
    """A model that samples with chains of images from start points.

    Attributes:
        chains: kernel and steps
    """

    chains: MCMC

    @property
    def start_count(self) -> int:
        """How many start images there are: one per training image, or one for all."""

    @property
    def step_size(self) -> float:
        """The initial step size of chains."""

    def start(self, index: Tensor) -> Tensor:
        """Return where the chains of training images `index` (B,) start, (B, C, H, W)."""


@runtime_checkable
class HasGrids(HasChains, Protocol):
    """A model that samples grid after grid, each starting from the images of the coarser one."""

    @property
    def grids(self) -> list[Any]:
        """The models of all grids, each with chains, from the coarsest to this one."""

    def image_density(self, x: Tensor) -> Tensor:
        """Return the log-density of observed images, (B,), without looking at their scale."""

    def enlarged(self, images: Tensor) -> Tensor:
        """Interpolate images of a coarser grid (B, C, h, w) to this model's size."""

    def entered(self, images: Tensor, rng: Rng) -> Tensor:
        """Return where chains start on this grid, (B, C, H, W), given where they come from."""


@runtime_checkable
class HasSizes(Protocol):
    """A model whose images may have any size, and whose opposite borders may meet."""

    def at_size(self, size: ImageSize, periodic: bool = False) -> Any:  # noqa: ANN401
        """Return this model, with the same weights, for images of another size.

        Raises:
            ValueError: if there are no images of this size
        """


def grids_of(model: HasChains) -> list[Any]:
    """Return the models on whose chains a sampler's images come about, one after another."""
    return model.grids if isinstance(model, HasGrids) else [model]


@runtime_checkable
class HasLikelihood(HasDecoder, Protocol):
    """A model with a decoder, whose images have a density that is an integral over latents.

    Attributes:
        plane: directions of the latent space, (2, d)
    """

    if TYPE_CHECKING:
        plane: Tensor

    @property
    def no_likelihood(self) -> str:
        """Why its images do not have the density of f(z) + sigma eps, in words; or nothing."""

    def prior_precision(self, z: Tensor) -> Tensor:
        """Return the inverse covariance of the prior near latents (B, d), (B, d, d)."""

    @property
    def exact_latents(self) -> bool:
        """Whether `latents` are exact draws of the prior, and not where chains have come to."""


@runtime_checkable
class HasReference(HasLogDensity, Protocol):
    """A model whose log-density is that of a Gaussian, plus a function f of images.

    Attributes:
        reference: p0, normalised
    """

    reference: Gaussian

    @property
    def no_likelihood(self) -> str:
        """Why it does not follow the density, in words; or nothing."""
