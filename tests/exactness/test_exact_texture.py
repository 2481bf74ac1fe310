"""A Gaussian field on a torus has a closed form, at which (6) of crops must vanish."""

import pytest
import torch
from torch import nn

from tigon.data.batches import Batch
from tigon.learners.descriptor import DescriptorLearner
from tigon.models.energy import short_run
from tigon.models.texture import TextureModel
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness

SCALE, THETA, SIZE, LARGE = 1.0, 0.2, 16, 128


class Neighbours(nn.Module):
    """f(x) = theta times the sum over positions of x_p x_q, with q right of p."""

    seen = 2

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(THETA, dtype=torch.float64))

    def forward(self, images):
        return self.theta * (images * images.roll(-1, 3)).sum((1, 2, 3))

    def inside(self, images):
        pairs = images[..., :-1] * images[..., 1:]
        return self.theta * pairs.mean((1, 2, 3)) * images[0].numel()


def field(count, size, rng, theta=THETA):
    """Exact draws (count, 1, size, size): a precision of 1 / scale^2 - 2 theta cos k."""
    frequencies = 2 * torch.pi * torch.arange(size, dtype=torch.float64) / size
    precision = SCALE**-2 - 2 * theta * frequencies.cos()
    noise = torch.randn(count, 1, size, size, generator=rng, dtype=torch.float64)
    spectrum = torch.fft.fft(noise, dim=3) / precision.sqrt()
    return torch.fft.ifft(spectrum, dim=3).real


def gradient(observed, synthesised):
    """The gradient of (6) in theta, per position, and its standard error."""
    starts = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    network = Neighbours()
    model = TextureModel(network, SCALE, short_run(1, 0.1, 1.0), starts, SIZE).double()
    batch = Batch(observed, torch.arange(len(observed)))
    loss, _ = DescriptorLearner(model)(batch, synthesised)
    (slope,) = torch.autograd.grad(loss, network.theta)
    with torch.no_grad():
        parts = [network.inside(observed) / THETA, network(synthesised) / THETA]
    error = sum(part.var() / len(part) for part in parts).sqrt()
    return slope.item() / SIZE**2, error.item() / SIZE**2


@pytest.fixture(scope="module")
def observed():
    """Crops of a large field, far from its borders and from each other."""
    large = field(60, LARGE, make_rng("large", 0))[..., :96, :96]
    cut = large.unfold(2, SIZE, 32).unfold(3, SIZE, 32)
    return cut.reshape(-1, 1, SIZE, SIZE)


def test_draws_of_the_field_have_its_covariance():
    images = field(400, LARGE, make_rng("check", 0))
    frequencies = 2 * torch.pi * torch.arange(4096, dtype=torch.float64) / 4096
    precision = SCALE**-2 - 2 * THETA * frequencies.cos()
    for lag in range(3):
        found = (images * images.roll(-lag, 3)).mean().item()
        exact = ((lag * frequencies).cos() / precision).mean().item()
        assert found == pytest.approx(exact, abs=0.004)


def test_the_gradient_vanishes_at_the_field_that_crops_are_cut_from(observed):
    slope, error = gradient(observed, field(540, SIZE, make_rng("torus", 0)))
    assert error < 0.01 and abs(slope) < 4 * error


@pytest.mark.parametrize("theta", [0.1, 0.3])
def test_it_leads_to_the_field_from_either_side(observed, theta):
    slope, error = gradient(observed, field(540, SIZE, make_rng("other", 0), theta))
    assert (slope > 8 * error) == (theta > THETA) and abs(slope) > 8 * error


def test_crops_must_not_be_taken_for_tori(observed):
    """Across their borders neighbours are unrelated: the gradient would not vanish."""
    wrapped = Neighbours()(observed).mean() / THETA
    inside = Neighbours().inside(observed).mean() / THETA
    assert (wrapped / inside).item() == pytest.approx(1 - 1 / SIZE, abs=0.01)
