"""The targets themselves, against scipy's densities: what the other tests rest on."""

import numpy as np
import pytest
import scipy.stats as st
import torch

from targets import (
    Banana,
    Bimodal,
    Funnel,
    assert_standard_normal,
    correlated_gaussian,
    normal_line,
    two_wells,
)
from tigon.densities.gaussian import Gaussian
from tigon.models.energy import EnergyModel
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness


def gaussian_by_scipy(x):
    target = correlated_gaussian()
    return st.multivariate_normal(target.mean, target.covariance).logpdf(x)


def funnel_by_scipy(x):
    width = np.exp(x[:, :1] / 2)
    return st.norm(0, 1.5).logpdf(x[:, 0]) + st.norm(0, width).logpdf(x[:, 1:]).sum(1)


def banana_by_scipy(x):
    bent = st.norm(0.7 * (x[:, 0] ** 2 - 1), 0.5).logpdf(x[:, 1])
    return st.norm.logpdf(x[:, 0]) + bent


def bimodal_by_scipy(x):
    mode = np.array([1.2, 1.6])
    one, other = (st.multivariate_normal(sign * mode).pdf(x) for sign in (1, -1))
    return np.log(0.7 * one + 0.3 * other)


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        (correlated_gaussian(), gaussian_by_scipy),
        (Funnel(), funnel_by_scipy),
        (Banana(), banana_by_scipy),
        (Bimodal(), bimodal_by_scipy),
        (normal_line(), lambda x: st.norm.logpdf(x[:, 0])),
    ],
)
def test_log_densities_are_scipys_up_to_a_constant(target, reference):
    x = target.sample(500, make_rng(0))
    difference = target(x).numpy() - reference(x.numpy())
    assert np.ptp(difference) < 1e-9


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("target", [correlated_gaussian(), Funnel(), Banana(), two_wells()])
def test_a_target_at_a_temperature_is_its_power(target, temperature):
    x = target.sample(500, make_rng(0))
    difference = target.at(temperature)(x) - target(x) / temperature
    assert np.ptp(difference.numpy()) < 1e-9


@pytest.mark.parametrize(
    "target",
    [correlated_gaussian().at(2.0), Funnel().at(0.5), Banana().at(2.0), Bimodal(), two_wells()],
)
def test_whitened_draws_are_standard_normal(target):
    whitened = target.whiten(target.sample(40000, make_rng(1)))
    assert_standard_normal(whitened)
    for column in whitened.T:
        assert st.kstest(column.numpy(), st.norm.cdf).pvalue > 1e-4


def test_the_check_of_normality_sees_small_deviations():
    z = torch.randn(40000, 2, generator=make_rng(0), dtype=torch.float64)
    assert_standard_normal(z)
    wrong = [z + 0.03, 1.03 * z, z + 0.03 * z.flip(1), z + 0.03 * z.flip(1) ** 2]
    for other in [*wrong, torch.where(z.abs() > 2, 1.1 * z, z)]:
        with pytest.raises(AssertionError):
            assert_standard_normal(other)


def test_the_packages_gaussian_is_scipys():
    x = torch.randn(50, 1, 2, 3, generator=make_rng(0), dtype=torch.float64)
    found = Gaussian(0.3, 0.7).log_prob(x).numpy()
    expected = st.norm(0.3, 0.7).logpdf(x.flatten(1).numpy()).sum(1)
    assert np.allclose(found, expected, rtol=1e-12)
    model = EnergyModel(lambda y: y.flatten(1).sum(1), 0.7, 0.3)
    assert np.allclose(model(x).numpy(), expected + x.flatten(1).sum(1).numpy(), rtol=1e-12)
