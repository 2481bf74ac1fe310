"""A convolution that halves images, and its transpose."""

import pytest
import torch

from tigon.nn.halving import doubled, halved


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [(2, 2), (6, 10)])
def test_doubling_is_the_gradient_of_halving(channels, sides, rng):
    images = torch.randn(2, channels, *sides, dtype=torch.double, generator=rng)
    weight = torch.randn(5, channels, 4, 4, dtype=torch.double, generator=rng)
    features = halved(images.requires_grad_(), weight)
    pull = torch.randn(features.shape, dtype=torch.double, generator=rng)
    (expected,) = torch.autograd.grad(features, images, pull)
    assert torch.allclose(doubled(pull, weight), expected, rtol=1e-12)
