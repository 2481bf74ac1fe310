"""Statistics of chains against closed forms and draws with known answers."""

import pytest
import torch

from small import descriptor_learner, generator_learner, image_set
from targets import correlated_gaussian
from tigon.data.batches import Batch
from tigon.densities.log_density import value_and_grad
from tigon.diagnostics.statistics import (
    FEATURES,
    coupling,
    effective_sample_size,
    image_features,
    implied_temperature,
    split_rhat,
)
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.random.streams import make_rng


def autoregressive(correlation, states, chains):
    """x' = r x + sqrt(1 - r^2) U: its effective sample size is (1 - r) / (1 + r) of the states."""
    rng, x = make_rng(3), torch.randn(chains, 2, generator=make_rng(4), dtype=torch.float64)
    kept = []
    for _ in range(states):
        noise = torch.randn(chains, 2, generator=rng, dtype=torch.float64)
        x = correlation * x + (1 - correlation**2) ** 0.5 * noise
        kept.append(x)
    return torch.stack(kept)


def test_one_chain_is_compared_with_itself():
    draws = autoregressive(0.5, 2000, 1)
    assert (split_rhat(draws) < 1.02).all()
    drifting = draws + torch.linspace(0, 5, 2000)[:, None, None]
    assert (split_rhat(drifting) > 1.5).all()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_effective_sample_size_is_that_of_an_autoregression(correlation):
    draws = autoregressive(correlation, 4000, 4)
    expected = 16000 * (1 - correlation) / (1 + correlation)
    assert effective_sample_size(draws) == pytest.approx([expected] * 2, rel=0.2)
    assert (split_rhat(draws) < 1.02).all()


def test_rhat_sees_one_chain_elsewhere_and_one_that_drifts():
    draws = autoregressive(0.5, 500, 4)
    draws[:, 3, 0] += 3
    draws[:, :, 1] += torch.linspace(0, 4, 500)[:, None]
    assert (split_rhat(draws) > 1.2).all()


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_implied_temperature_is_that_of_exact_chains(temperature):
    target = correlated_gaussian()
    target.covariance = target.covariance * temperature
    x = target.sample(500, make_rng(0))
    cold = correlated_gaussian()
    run = MCMC(MALA(0.8, temperature), 400).run(cold, x, make_rng(1), keep=2)
    gradients = torch.stack([value_and_grad(cold, x)[1] for x in run.trajectory])
    assert implied_temperature(run.trajectory, gradients) == pytest.approx(temperature, rel=0.06)


def test_implied_temperature_shows_unadjusted_steps_that_are_too_long():
    """On N(0, 1) the variance is 1 / (1 - s^2 / 4), and so is the temperature."""
    x = torch.randn(2000, 1, generator=make_rng(0), dtype=torch.float64)

    def log_density(x):
        return -(x**2).sum(1) / 2

    run = MCMC(Langevin(1.5), 300).run(log_density, x, make_rng(1), keep=1)
    found = implied_temperature(run.trajectory[100:], -run.trajectory[100:])
    assert found == pytest.approx(1 / (1 - 1.5**2 / 4), rel=0.05)


@pytest.mark.parametrize("norm", ["none", "group", "batch"])
def test_default_chains_are_not_coupled(norm):
    images = image_set(4)
    batch = Batch(images.read(), torch.arange(4))
    for learner, x in (
        (generator_learner(4, norm=norm), torch.randn(4, 2, generator=make_rng(0))),
        (descriptor_learner(images, norm=norm), batch.images),
    ):
        assert coupling(learner, batch, x) < 1e-5


def test_averaged_likelihoods_and_batch_statistics_are_seen_to_couple():
    images = image_set(4)
    batch = Batch(images.read(), torch.arange(4))
    averaging = generator_learner(4, average_likelihood=True)
    assert coupling(averaging, batch, averaging.store.points) > 0.5
    sharing = descriptor_learner(images, norm="batch", batch_statistics=True)
    assert coupling(sharing, batch, batch.images) > 0.01


def test_features_of_an_image_say_what_their_names_say():
    images = torch.zeros(1, 3, 8, 8)
    images[:, 0] = 0.5
    images[:, :, :4] += 0.25
    found = dict(zip(FEATURES, image_features(images)[0].tolist(), strict=True))
    assert found["red or grey"] == pytest.approx(0.625)
    assert found["green"] == pytest.approx(0.125)
    assert found["top against bottom"] == pytest.approx(0.25)
    assert found["left against right"] == pytest.approx(0)
    assert found["roughness"] == pytest.approx((0.25**2 / 7) ** 0.5)
    grey = image_features(torch.rand(5, 2, 1, 8, 8))
    assert grey.shape == (5, 2, 8) and torch.equal(grey[..., 0], grey[..., 1])
