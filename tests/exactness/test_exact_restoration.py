"""Restored images of a linear generator have a known distribution: a Gaussian."""

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tigon.inference.physics import Blur, Downsample, Grey, Mask
from tigon.inference.restore import Draws, restore
from tigon.models.generator import GeneratorModel
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness
SHAPE, DIM, SIGMA, NOISE = (3, 4, 4), 3, 0.3, 0.2
PIXELS = 48


class Affine(nn.Module):
    """f(z) = W z + b, as images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(DIM, PIXELS).double()
        rng = make_rng("affine", 0)
        with torch.no_grad():
            self.inner.weight.copy_(0.4 * torch.randn(PIXELS, DIM, generator=rng))
            self.inner.bias.copy_(0.2 * torch.randn(PIXELS, generator=rng))

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(z).unflatten(1, SHAPE)


def kept() -> Tensor:
    """Return a mask that lacks a hole, and some values of one channel."""
    mask = torch.ones(SHAPE)
    mask[:, 1:3, 1:4] = 0
    mask[1, 0, :2] = 0
    return mask


PHYSICS = {"mask": Mask(kept()), "blur": Blur(0.8), "down": Downsample(2), "grey": Grey()}


def of_deepinv(name) -> Callable[[Tensor], Tensor]:
    """Return the A of one of deepinv's objects, which make noise of their own otherwise."""
    try:
        found = importlib.import_module("deepinv.physics")
    except (ImportError, RuntimeError) as error:  # torchvision, which it needs, raises the latter
        pytest.skip(f"deepinv cannot be imported: {error}")
    made = {
        "Inpainting": lambda: found.Inpainting(SHAPE, mask=kept().double()),
        "Blur": lambda: found.Blur(found.blur.gaussian_blur(0.8).double(), padding="circular"),
        "Downsampling": lambda: found.Downsampling(filter=None, factor=2),
        "Decolorize": lambda: found.Decolorize(),
    }
    return made[name]().A


def assert_drawn_from_the_posterior(name, physics, start="prior"):
    """Check draws given what was observed of an image of a linear generator."""
    network = Affine()
    model = GeneratorModel(network, DIM, SIGMA)
    rng = make_rng(name, 1)
    truth = network(torch.randn(1, DIM, generator=rng, dtype=torch.float64)).detach()
    clean = physics(truth + SIGMA * torch.randn(truth.shape, generator=rng))
    y = clean + NOISE * torch.randn(clean.shape, generator=rng)
    if name in ("mask", "Inpainting"):
        y = y * kept()  # of what is missing there is no noise either

    eye = torch.eye(PIXELS).double().unflatten(1, SHAPE)
    a = physics(eye).flatten(1).T
    w, b = network.inner.weight.detach(), network.inner.bias.detach()
    joint = w @ w.T + SIGMA**2 * torch.eye(PIXELS)
    noisy = a @ joint @ a.T + NOISE**2 * torch.eye(len(a))
    gain = joint @ a.T @ torch.linalg.inv(noisy)
    mean = b + gain @ (y.flatten() - a @ b)
    covariance = joint - gain @ a @ joint

    count = 1500
    how = Draws(count, start, temperatures=4, hottest=20.0, settle=60, draws=1)
    found = restore(model, y, physics, make_rng(2), NOISE, how=how)
    images = found.samples[0].flatten(1)
    assert images.shape == (count, PIXELS)
    deviations = covariance.diagonal().sqrt()
    assert ((images.mean(0) - mean) / deviations).abs().max() < 4.5 / count**0.5
    ratio = (torch.cov(images.T) - covariance) / torch.outer(deviations, deviations)
    assert ratio.abs().max() < 5 * (2 / count) ** 0.5
    assert ((found.mean[0].flatten() - mean) / deviations).abs().max() < 4.5 / count**0.5
    assert torch.allclose(found.spread[0].flatten(), deviations, rtol=0.09)
    assert 0.4 < found.accept[0] < 0.75


@pytest.mark.parametrize(
    ("name", "start"),
    [*zip(PHYSICS, ["prior"] * 4, strict=True), ("mask", "linear"), ("grey", "linear")],
)
def test_draws_of_a_linear_generator_have_their_mean_and_covariance(name, start):
    assert_drawn_from_the_posterior(name, PHYSICS[name], start)


@pytest.mark.parametrize("name", ["Inpainting", "Blur", "Downsampling", "Decolorize"])
def test_so_have_draws_given_what_objects_of_deepinv_observe(name):
    assert_drawn_from_the_posterior(name, of_deepinv(name))
