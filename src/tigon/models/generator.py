"""The generator (1): a latent-variable model."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tigon.data.checks import require_points, require_shape
from tigon.densities.gaussian import Prior, StandardNormal, density_of
from tigon.densities.log_density import LogDensity, mode, sum_event
from tigon.densities.mixture import GaussianMixture
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart, LinearGuess, Reconstruction, infer_latents
from tigon.models.config import build, register_part, to_plain
from tigon.models.image_noise import ImageNoise, White
from tigon.models.residuals import Residuals
from tigon.random.streams import Rng, normal


@register_part
class GeneratorModel(Model):
    """Generator (1): latents z from the prior, images y = f(z) + sigma eps.

    Arguments:
        network: f, latents (B, d) to images (B, C, H, W) in [-1, 1]
        latent_dim: d, >= 1; taken from the prior's `event_shape` if not given
        sigma: standard deviation of the observation noise on the scale of [-1, 1], > 0
        prior: prior of the latents, any object with `log_prob` or `log_density`, (B, d) to (B,),
            and `sample(like, rng)`; N(0, I) if not given. If it is a module, its parameters belong
            to the model
        guess: where the inference of unseen images starts half of its chains, if anywhere
        residuals: what is known of x - f(z) beyond sigma, which `restore` uses, if anything

    `sigma` is a buffer, a tensor () of the network's type, which is saved and moved with the
    weights; `model.sigma.fill_(0.2)` changes it. `plane` is another: the two directions of the
    latent space, (2, d), in which the latents of the training images vary most.
    """

    CONFIGURED: ClassVar[Mapping[str, float]] = {"sigma": 0.3}
    UNAVERAGED: ClassVar[tuple[str, ...]] = ("plane",)
    sigma: Tensor
    plane: Tensor

    def __init__(
        self,
        network: nn.Module,
        latent_dim: int | None = None,
        sigma: float = 0.3,
        prior: Prior | None = None,
        guess: LinearGuess | None = None,
        residuals: Residuals | None = None,
    ) -> None:
        super().__init__()
        self.network, self.prior, self.guess = network, prior or StandardNormal(), guess
        self.residuals = residuals
        self._prior_density = density_of(self.prior)
        self.latent_dim = _dimension(self.prior) if latent_dim is None else latent_dim
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, not {latent_dim}")
        if not sigma > 0:
            raise ValueError(f"sigma must be above 0, not {sigma}")
        like = next(network.parameters(), torch.empty(()))
        self.register_buffer("sigma", like.new_tensor(float(sigma)))
        self.register_buffer("plane", torch.eye(2, self.latent_dim).to(like))

    def forward(self, z: Tensor) -> Tensor:
        """Decode latents (B, d) to images (B, C, H, W)."""
        return self.network(z)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's images."""
        channels, height, width = self.decode(self.plane[:1]).shape[1:]
        return channels, height, width

    def log_prior(self, z: Tensor) -> Tensor:
        """Return the prior's log-density of latents (B, d), (B,), up to `log_prior_constant`."""
        return self._prior_density(z)

    @property
    def log_prior_constant(self) -> float | None:
        """The log of the integral of exp(log_prior), in nats; None if nobody knows it."""
        if isinstance(self.prior, StandardNormal):
            return self.latent_dim / 2 * math.log(2 * math.pi)
        return None if hasattr(self.prior, "log_density") else 0.0

    @property
    def mixture(self) -> GaussianMixture | None:
        """The mixture of normal densities that the prior is, or tilts, if there is one."""
        found = getattr(self.prior, "base", self.prior)
        return found if isinstance(found, GaussianMixture) else None

    def prior_precision(self, z: Tensor) -> Tensor:
        """Return the inverse covariance of the prior near latents (B, d), (B, d, d).

        It is I for N(0, I), that of the components for a mixture, tilted or not, and I for others.
        """
        if self.mixture is not None:
            return self.mixture.precision(z)
        return torch.eye(z.shape[1]).to(z).expand(len(z), -1, -1)

    @property
    def no_likelihood(self) -> str:
        """Nothing: images are those of f(z) + sigma eps."""
        return ""

    @property
    def exact_latents(self) -> bool:
        """Whether `latents` are exact draws: a prior with `chains` only comes near them."""
        return getattr(self.prior, "chains", None) is None

    def log_likelihood(
        self,
        images: Tensor,
        z: Tensor,
        sigma: float | Tensor | None = None,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return log p(images | z) up to a constant, (B,): minus the summand of (3).

        If `sigma` is given, it replaces the model's own. With a mask it is that of the values
        where it is 1: see `posterior`.

        Raises:
            TigonError: if the images have another shape, are not floats, or range to 1 or 255
        """
        images = _looked_at(images, mask)
        return self._log_likelihood(images, z, sigma, mask)

    def _log_likelihood(
        self,
        images: Tensor,
        z: Tensor,
        sigma: float | Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the same of images that were looked at, once for all steps of a chain."""
        noise, decoded = self.sigma if sigma is None else sigma, self.network(z)
        require_shape(images, "images", decoded.shape[1:])
        squares = (images - decoded) ** 2
        squares = squares if mask is None else squares * mask
        return -sum_event(squares) / (2 * noise**2)

    def posterior(
        self,
        images: Tensor,
        likelihood_weight: float | Tensor = 1.0,
        sigma: float | Tensor | None = None,
        *,
        mask: Tensor | None = None,
    ) -> LogDensity:
        r"""Return the log-density of z given `images` (B, C, H, W), row by row.

        `likelihood_weight` is 1 for the posterior, and 1/T for a likelihood at temperature T, one
        number or one for each row (B,). The
        original code averaged the likelihood over its n images, which is a weight of 1/n;
        `generator-original` reproduces that. If `sigma` is given, it replaces the model's own, as
        during annealing.

        `mask` is 1 where a value was observed and 0 elsewhere, broadcastable to the images. The
        noise of values is independent, so that those that are missing just drop out:

        .. math:: \log p(z \mid y_o) = -\frac{1}{2 \sigma^2} \sum_k m_k (y_k - f_k(z))^2
                  + \log p(z) + c

        Raises:
            TigonError: if the images have another shape, are not floats, or range to 1 or 255
        """
        images = _looked_at(images, mask)
        mask = None if mask is None else mask.to(images)

        def log_density(z: Tensor) -> Tensor:
            likelihood = self._log_likelihood(images, z, sigma, mask)
            return likelihood_weight * likelihood + self.log_prior(z)

        return log_density

    def image_noise(self) -> ImageNoise:
        """Return how images lie about f(z): as residuals were measured, or with sigma alone."""
        if self.residuals is not None and self.residuals.measured:
            return self.residuals.noise()
        return White(float(self.sigma))

    def whole_images(self) -> tuple[Tensor, ImageNoise] | None:
        """Return the mean of images (C, H, W) and how they lie about it, if that was measured."""
        if self.residuals is None or not self.residuals.measured:
            return None
        return self.residuals.whole.mean, self.residuals.whole.noise()

    def latents(self, count: int, rng: Rng, like: Tensor) -> Tensor:
        """Draw `count` latents from the prior, (count, d), with the type and device of `like`."""
        return self.prior.sample(like.new_empty(count, self.latent_dim), rng)

    @torch.no_grad()
    def decode(self, latents: Tensor, chunk: int = 64) -> Tensor:
        """Return f(z) for latents (B, d), (B, C, H, W), `chunk` at a time, without noise."""
        with mode(self, training=False):
            return torch.cat([self.network(part) for part in latents.split(chunk)])

    @torch.no_grad()
    def sample(self, count: int, rng: Rng, noise: bool = False) -> Tensor:
        """Draw images f(z), or with `noise` f(z) + sigma eps, z from the prior, (count, C, H, W).

        Only the latter are draws from the model's density. They are not clipped to [-1, 1].

        Arguments:
            rng: one generator, or one stream per image; `noise` does not change the latents
        """
        images = self.decode(self.latents(count, rng, self.plane))
        return images + self.sigma * normal(rng, images) if noise else images

    def sample_rows(self, rows: range, rng: Rng, noise: bool = False) -> Tensor:
        """Draw these of the images that `sample` draws."""
        return self.sample(len(rows), rng, noise)

    def infer(
        self,
        images: Tensor,
        rng: Rng,
        how: ColdStart | None = None,
        mask: Tensor | None = None,
    ) -> Reconstruction:
        """Infer latents of images (B, C, H, W) in [-1, 1] that have no chain to continue from.

        Chains start at draws from the prior, and at the model's guess if it has one; see
        `tigon.models.cold_start`.

        Arguments:
            rng: one generator, or streams of B * starts rows
            how: the number of chains, temperatures and steps
            mask: 1 where a value was observed and 0 where it is missing, (B, 1 or C, H, W)
        Returns:
            the mode that the highest chain of each image climbed to; not a draw from the posterior
        Raises:
            TigonError: if they are not images of the model: of another shape, type or range
        """
        images = _looked_at(images, mask).to(self.plane)
        require_shape(images, "images", self.decode(self.plane[:1]).shape[1:])
        if mask is not None:
            mask = mask.to(images).expand(len(images), -1, -1, -1)
        return infer_latents(self, images, rng, how, mask)

    def config(self) -> dict[str, Any]:
        """Return the model's settings."""
        return {
            "network": to_plain(self.network, "model.network"),
            "latent_dim": self.latent_dim,
            "sigma": float(str(self.sigma.float().cpu().numpy())),  # 0.3, not 0.300000012
            "prior": to_plain(self.prior, "model.prior"),
            "guess": to_plain(self.guess, "model.guess"),
            "residuals": to_plain(self.residuals, "model.residuals"),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GeneratorModel":
        """Return a model with these settings."""
        return build(cls, config)


def principal_directions(covariance: Tensor) -> Tensor:
    """Return the two directions (2, d) in which points with covariance (d, d) vary most.

    With two coordinates these are the axes; with one, the axis and zero.
    """
    dim = len(covariance)
    if dim <= 2:
        return torch.eye(2, dim, dtype=covariance.dtype, device=covariance.device)
    _, directions = torch.linalg.eigh(covariance)
    return directions[:, [-1, -2]].T


def _looked_at(images: Tensor, mask: Tensor | None) -> Tensor:
    """Return images with 0 in the place of missing values, after a look at the others.

    Raises:
        TigonError: if they are of another type or range
    """
    if mask is None:
        require_points(images, "images")
        return images
    known = mask.to(images.device) > 0
    require_points(images[known.expand_as(images)], "images")
    return torch.where(known, images, 0)


def _dimension(prior: Prior) -> int:
    shape: tuple[int, ...] = tuple(getattr(prior, "event_shape", ()))
    if len(shape) != 1:
        raise ValueError("the number of latents is needed: GeneratorModel(..., latent_dim=...)")
    return int(shape[0])
