r"""A model is a log-density.

A log-density maps a batch of points (B, *) to (B,); row i depends on row i alone, and higher is
more probable. Event dimensions are summed, the batch never. The two models of the package:

.. math::
    \text{generator:}\quad & z \sim N(0, I_d), \quad y = f(z; W) + \sigma\,\epsilon
      && \text{(1)} \\
    \text{descriptor:}\quad & p(y) = \tfrac{1}{Z(\theta)} \exp(f_\theta(y))\, N(y; 0, s^2 I)
      && \text{(4)}

References:
    Han, Lu, Zhu and Wu, "Alternating back-propagation for generator network", AAAI 2017.
    Xie, Lu, Zhu and Wu, "A theory of generative ConvNet", ICML 2016.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tigon.streams import Rng, normal

LogDensity = Callable[[Tensor], Tensor]


def sum_event(x: Tensor) -> Tensor:
    """Sum over all but the batch dimension: (B, *) to (B,)."""
    return x.flatten(1).sum(1)


def value_and_grad(log_density: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate a log-density and its gradient: one gradient evaluation.

    Rows are independent, so the gradient of the batch's sum is each row's own gradient. A
    log-density with a `value_and_grad` of its own, such as `Compiled`, is asked for it.

    Arguments:
        log_density: (B, *) to (B,)
        x: points (B, *)
    Returns:
        values (B,) and gradients (B, *), both detached
    Raises:
        ValueError: if the log-density does not return one number a row
    """
    own = getattr(log_density, "value_and_grad", None)
    return evaluated(log_density, x) if own is None else own(x.detach())


def evaluated(log_density: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values (B,) and gradients (B, *) of a log-density by automatic differentiation.

    Raises:
        ValueError: if the log-density does not return one number a row
    """
    if not torch.is_grad_enabled():
        with torch.enable_grad():
            return evaluated(log_density, x)
    x = x.detach().requires_grad_(True)
    value = log_density(x)
    if value.shape != x.shape[:1]:
        raise ValueError(
            f"a log-density must map {tuple(x.shape)} to {tuple(x.shape[:1])}, "
            f"this one returned {tuple(value.shape)}"
        )
    (gradient,) = torch.autograd.grad(value, x, torch.ones_like(value))
    return value.detach(), gradient


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Ask no gradient of the module's parameters within; what was asked before is restored."""
    asked = [(p, p.requires_grad) for p in module.parameters()]
    try:
        for parameter, _ in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in asked:
            parameter.requires_grad_(flag)


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Put a module in training or in eval mode within; the mode before is restored."""
    before = module.training
    module.train(training)
    try:
        yield
    finally:
        module.train(before)


@dataclass(frozen=True)
class Gaussian:
    """N(loc, scale^2 I): a normalised density over events of any shape.

    Arguments:
        loc: a number or a tensor that broadcasts to an event
        scale: standard deviation > 0, likewise
    """

    loc: float | Tensor = 0.0
    scale: float | Tensor = 1.0

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log N(x; loc, scale^2) of each row, (B, *) to (B,)."""
        scale = torch.as_tensor(self.scale, dtype=x.dtype, device=x.device)
        residual = (x - self.loc) / scale
        return sum_event(-0.5 * residual**2 - scale.log() - 0.5 * math.log(2 * math.pi))

    __call__ = log_prob

    def sample(self, like: Tensor, rng: Rng) -> Tensor:
        """Draw points of the shape, type and device of `like` (B, *)."""
        return self.loc + self.scale * normal(rng, like)


class EnergyModel(nn.Module):
    """Descriptor (4): log-density f(x) + log p0(x), up to log Z, with p0 = N(loc, scale^2 I).

    Arguments:
        network: f, images (B, C, H, W) to (B,)
        scale: standard deviation of the reference density p0, in units of the images, > 0
        loc: mean of p0 in every dimension: 0 is grey, -1 black as in the original
    """

    def __init__(self, network: nn.Module, scale: float = 0.7, loc: float = 0.0) -> None:
        super().__init__()
        self.network, self.reference = network, Gaussian(loc, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-density up to a constant, (B, C, H, W) to (B,)."""
        return self.network(x).to(x.dtype) + self.reference.log_prob(x)


class GeneratorModel(nn.Module):
    """Generator (1): latents z ~ N(0, I), images y = f(z) + sigma eps.

    Arguments:
        network: f, latents (B, d) to images (B, C, H, W) in [-1, 1]
        latent_dim: d, >= 1
        sigma: standard deviation of the observation noise on the scale of [-1, 1], > 0

    `sigma` is a buffer, a tensor (), of the network's type: it is saved and moved with the
    weights. `model.sigma.fill_(0.2)` sets another.
    """

    sigma: Tensor

    def __init__(self, network: nn.Module, latent_dim: int, sigma: float = 0.3) -> None:
        super().__init__()
        self.network, self.latent_dim = network, latent_dim
        like = next(network.parameters(), torch.empty(()))
        self.register_buffer("sigma", like.new_tensor(float(sigma)))

    def forward(self, z: Tensor) -> Tensor:
        """Decode latents (B, d) to images (B, C, H, W)."""
        return self.network(z)

    def log_likelihood(
        self, images: Tensor, z: Tensor, sigma: float | Tensor | None = None
    ) -> Tensor:
        """Return log p(images | z) up to a constant, (B,): minus the summand of (3).

        With another noise than the model's own where `sigma` is given.
        """
        noise = self.sigma if sigma is None else sigma
        return -sum_event((images - self.network(z)) ** 2) / (2 * noise**2)

    def posterior(
        self, images: Tensor, likelihood_weight: float = 1.0, sigma: float | Tensor | None = None
    ) -> LogDensity:
        """Return the log-density of z given `images` (B, C, H, W), row by row.

        `likelihood_weight` is 1 for the posterior, and 1/T for a likelihood tempered on the way
        to it. The original code averaged the likelihood over its n images, which is a weight of
        1/n; `generator-seed` repeats that. `sigma` is the noise's standard deviation where it is
        not the model's own, as while it is annealed.
        """

        def log_density(z: Tensor) -> Tensor:
            likelihood = self.log_likelihood(images, z, sigma)
            return likelihood_weight * likelihood - sum_event(z**2) / 2

        return log_density

    def latents(self, count: int, rng: Rng, like: Tensor) -> Tensor:
        """Draw `count` latents of the prior, (count, d), of the type and device of `like`."""
        return normal(rng, like.new_empty(count, self.latent_dim))

    @torch.no_grad()
    def decode(self, latents: Tensor, chunk: int = 64) -> Tensor:
        """Return f(z) of latents (B, d), (B, C, H, W), `chunk` at a time, without noise."""
        with mode(self, training=False):
            return torch.cat([self.network(part) for part in latents.split(chunk)])

    @torch.no_grad()
    def sample(self, count: int, rng: Rng, noise: bool = False) -> Tensor:
        """Draw images f(z) with z ~ N(0, I), (count, C, H, W); with `noise`, f(z) + sigma eps.

        Only the latter are draws of the model's density. They are not clipped to [-1, 1].

        Arguments:
            rng: one generator, or a stream for each image; latents are the same either way
        """
        like = next(self.network.parameters()).detach()
        images = self.decode(self.latents(count, rng, like))
        return images + self.sigma * normal(rng, images) if noise else images
