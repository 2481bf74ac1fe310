import math

import pytest
import torch
from scipy.fft import dctn

from tigon.models.image_noise import Blended, Correlated, White, transformed
from tigon.random.streams import make_rng

SHAPE = 3, 6, 8


def correlated(seed):
    deviations, variances = 0.5 + torch.rand(
        2, *SHAPE, generator=make_rng(seed), dtype=torch.float64
    )
    return Correlated(deviations, variances)


def test_the_transform_is_the_orthonormal_cosine_transform():
    x = torch.randn(2, *SHAPE, generator=make_rng(0), dtype=torch.float64)
    wanted = dctn(x.numpy(), axes=(1, 2, 3), norm="ortho")
    assert torch.allclose(transformed(x), torch.from_numpy(wanted))
    assert torch.allclose(transformed(transformed(x), back=True), x)


@pytest.mark.parametrize("kind", ["white", "correlated"])
def test_draws_have_the_covariance_that_products_are_of(kind):
    values = math.prod(SHAPE)
    noise = White(0.4) if kind == "white" else correlated(1)
    eye = torch.eye(values, dtype=torch.float64)
    covariance = noise.product(eye.unflatten(1, SHAPE)).flatten(1)
    root = noise.draws(lambda: eye.unflatten(1, SHAPE)).flatten(1)
    assert torch.allclose(root.T @ root, covariance) and torch.allclose(covariance, covariance.T)
    assert noise.variance == pytest.approx(covariance.diagonal().mean().item())


def test_a_blend_has_the_covariance_of_each_image_s_own_share():
    shares, parts = torch.tensor([0.0, 0.2, 1.0]), (correlated(1), correlated(2))
    blend, eye = Blended(*parts, shares), torch.eye(math.prod(SHAPE), dtype=torch.float64)
    products = blend.product(eye.unflatten(1, SHAPE).repeat(3, 1, 1, 1)).unflatten(0, (3, -1))
    first, second = (part.product(eye.unflatten(1, SHAPE)) for part in parts)
    for share, product in zip(shares, products, strict=True):
        assert torch.allclose(product, (1 - share) * first + share * second)
    zero = torch.zeros_like(eye)
    halves = iter([torch.cat([eye, zero]), torch.cat([zero, eye])])  # of two independent noises
    root = blend.draws(lambda: next(halves).unflatten(1, SHAPE).repeat(3, 1, 1, 1))
    for one, product in zip(root.unflatten(0, (3, -1)).flatten(2), products, strict=True):
        assert torch.allclose(one.T @ one, product.flatten(1), atol=1e-6)


def test_missing_values_are_drawn_from_the_conditional_distribution():
    rng, noise = make_rng(6), correlated(3)
    values = math.prod(SHAPE)
    mask = (torch.rand(SHAPE, generator=rng) < 0.6).double()
    seen = noise.draws(lambda: torch.randn(1, *SHAPE, generator=rng, dtype=torch.float64))
    hidden = torch.where(mask > 0, seen, torch.nan).expand(4000, *SHAPE)
    drawn = noise.completed(hidden, mask.expand(4000, *SHAPE), rng)
    assert torch.equal(drawn[:, mask > 0], seen.expand(4000, *SHAPE)[:, mask > 0])
    kept, eye = mask.flatten() > 0, torch.eye(values, dtype=torch.float64)
    covariance = noise.product(eye.unflatten(1, SHAPE)).flatten(1)
    gain = covariance[~kept][:, kept] @ torch.linalg.inv(covariance[kept][:, kept])
    mean = gain @ seen.flatten()[kept]
    exact = covariance[~kept][:, ~kept] - gain @ covariance[kept][:, ~kept]
    some = drawn.flatten(1)[:, ~kept]
    apart = (some.mean(0) - mean) / exact.diagonal().sqrt()
    assert apart.abs().max() < 0.15
    assert (torch.cov(some.T) - exact).norm() < 0.2 * exact.norm()
