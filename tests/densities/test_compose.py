import math

import pytest
import torch

from tigon.densities.compose import Mixture, Product
from tigon.densities.gaussian import Gaussian
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness
ONE, TWO = Gaussian(1.0, 0.5), Gaussian(-2.0, 2.0)


def drawn(density, count=6000, steps=60):
    rng = make_rng(0)
    starts = torch.randn(count, 1, generator=rng, dtype=torch.float64)
    adapting = MCMC(MALA(0.5), steps, StepSizeAdaptation()).run(density, starts, rng)
    return MCMC(MALA(0.5), steps).run(density, adapting.state, rng).x[:, 0]


@pytest.mark.parametrize(
    ("weights", "temperature"), [((0.5, 0.5), 1.0), ((1.0, 1.0), 2.0), ((1.0, -0.5), 1.0)]
)
def test_a_product_of_gaussians_is_the_known_gaussian(weights, temperature):
    density = Product([ONE, TWO], weights, temperature)
    precisions = [w / g.scale**2 / temperature for w, g in zip(weights, (ONE, TWO), strict=True)]
    precision = sum(precisions)
    mean = sum(p * g.loc for p, g in zip(precisions, (ONE, TWO), strict=True)) / precision
    x = drawn(density)
    assert x.mean().item() == pytest.approx(mean, abs=4 / (precision * len(x)) ** 0.5)
    assert x.var().item() == pytest.approx(1 / precision, rel=4 * (2 / len(x)) ** 0.5)


def test_a_mixture_of_normalised_densities_has_its_weights_as_shares():
    x = torch.linspace(-15, 15, 6001, dtype=torch.float64)[:, None]
    density = Mixture([ONE, TWO], [0.3, 0.7])
    values = density(x).exp()
    assert torch.trapezoid(values, x[:, 0]).item() == pytest.approx(1.0, abs=1e-6)
    mean = torch.trapezoid(values * x[:, 0], x[:, 0]).item()
    assert mean == pytest.approx(0.3 * 1.0 - 0.7 * 2.0, abs=1e-6)
    draws = drawn(density, steps=200)
    variance = 0.3 * (0.25 + 1) + 0.7 * (4 + 4) - mean**2
    assert draws.mean().item() == pytest.approx(mean, abs=5 * (variance / len(draws)) ** 0.5)
    assert draws.var().item() == pytest.approx(variance, rel=0.1)


def test_far_from_all_parts_a_mixture_is_finite():
    value = Mixture([ONE, TWO], [1.0, 1.0])(torch.tensor([[1e4]]))
    assert value.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        (Product, ([ONE], [1.0, 1.0]), "1 log-densities and 2 weights"),
        (Product, ([], []), "0 log-densities"),
        (Product, ([ONE, TWO], [0.0, 0.0]), "not all 0"),
        (Product, ([ONE, TWO], [math.inf, 1.0]), "must be finite"),
        (Product, ([ONE], [1.0], 0.0), "temperature must be above 0"),
        (Mixture, ([ONE, TWO], [1.0, -1.0]), "weights of a mixture must be above 0"),
    ],
)
def test_what_is_no_composition_is_refused(kind, numbers, said):
    with pytest.raises(ValueError, match=said):
        kind(*numbers)
