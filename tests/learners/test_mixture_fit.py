"""A mixture of normal densities in a generator's prior, which is fitted to its latents."""

import pytest
import torch

import tigon
from small import image_set
from tigon.learners.generator import GeneratorLearner
from tigon.learners.latent_ebm import LatentEBMLearner
from tigon.learners.mixture_fit import MixtureFit
from tigon.models.energy_prior import EnergyPrior, LatentTilt

SHARED = [False, True]  # whether a network tilts the mixture


def learner_of(images, prior, tilted, **options):
    network = tigon.DCGANGenerator(3, 8, width=4, rng=tigon.make_rng(1))
    chains = tigon.MCMC(tigon.MALA(0.4), 3)
    if tilted:
        prior = EnergyPrior(LatentTilt(3, 6, tigon.make_rng(2)), 3, chains, prior)
    learner_type = LatentEBMLearner if tilted else GeneratorLearner
    model = tigon.GeneratorModel(network, 3, prior=prior)
    return learner_type(model, len(images), expand=True, **options)


def in_two_halves(learner):
    """Put half of the latents around -2, the other half around 2."""
    half = len(learner.store.points) // 2
    with torch.no_grad():
        for part, middle in ((slice(half), -2.0), (slice(half, 2 * half), 2.0)):
            learner.store.points[part] = 0.3 * learner.store.points[part] + middle


def in_two(mixture):
    return mixture.means.amin() < -1 and mixture.means.amax() > 1


@pytest.mark.parametrize("tilted", SHARED)
def test_it_is_fitted_to_the_latents_and_follows_their_expansion(tilted):
    images = image_set(400)
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted)
    in_two_halves(learner)
    optimizer = torch.optim.Adam(learner.parameters(), 0.0)
    learner._fit.moved(400)  # all have moved
    learner.after_update(optimizer)
    fitted = learner.model.mixture
    assert in_two(fitted)
    before = fitted.log_prob(learner.store.points)
    shown = learner.model(learner.store.points)
    kept = learner.chain_tensors()["unfitted"].item()
    learner.measure_latents()
    learner.after_update(optimizer)
    moved = fitted.log_prob(learner.store.points) - before
    assert kept == 0 and moved.std() < 1e-4 < moved.mean().abs()
    assert torch.allclose(learner.model(learner.store.points), shown, atol=1e-4)


@pytest.mark.parametrize(("count", "enough"), [(400, 400), (10**6, 50_000)])
def test_a_fit_is_due_when_all_latents_have_moved_or_enough_of_a_large_set(count, enough):
    fit = MixtureFit(tigon.GaussianMixture(3, 2), count)
    fit.moved(enough - 1)
    assert not fit.due
    fit.moved(1)
    assert fit.due


@pytest.mark.parametrize("tilted", SHARED)
def test_it_is_fitted_again_when_all_latents_have_moved(tilted):
    images = image_set(8)
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted)
    learner.expand, shown = False, []
    optimizer = torch.optim.SGD(learner.parameters(), 0.0)
    for k in range(6):  # half of the images at a time
        batch = images.batch(torch.arange(4 * (k % 2), 4 * (k % 2) + 4))
        learner.run_chains(batch, tigon.RowRng(0, k, range(4)))
        learner.after_update(optimizer)
        shown.append(learner.model.mixture.means.clone())
    assert not shown[0].any() and shown[1].any() and torch.equal(shown[1], shown[2])
    assert not torch.equal(shown[2], shown[3]) and torch.equal(shown[3], shown[4])
    assert learner.chain_tensors()["fits"] == 3


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e18])
def test_latents_that_ran_away_are_left_to_the_guard(value):
    images = image_set(8)
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted=False)
    learner.expand = False
    learner.store.points[3] = value
    learner._fit.moved(8)
    learner.after_update(torch.optim.SGD(learner.parameters(), 0.0))
    assert not learner.model.mixture.means.any() and learner.chain_tensors()["fits"] == 0


def test_chains_far_from_all_components_are_lost_and_restarted():
    images = image_set(400)
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted=False)
    in_two_halves(learner)
    learner._fit.moved(400)
    learner.after_update(torch.optim.SGD(learner.parameters(), 0.0))
    assert not len(learner.bad_chains())
    learner.store.points[[5, 250]] = torch.tensor([40.0, 0.0, torch.nan])
    learner.store.points[7] = torch.tensor([60.0, 0.0, 0.0])
    lost = learner.bad_chains()
    assert lost.tolist() == [5, 7, 250]
    learner.restart_chains(lost, tigon.make_rng("again", 0))
    assert not len(learner.bad_chains())


@pytest.mark.parametrize("tilted", SHARED)
@pytest.mark.parametrize("components", [None, 5])
def test_it_is_fitted_at_once_to_latents_that_another_run_inferred(tilted, components):
    images = image_set(400)
    prior = None if components is None else tigon.GaussianMixture(3, components)
    origin = learner_of(images, prior, tilted=False)
    in_two_halves(origin)
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted)
    learner.adopt(origin)
    assert in_two(learner.model.mixture)
    assert torch.equal(learner.store.points, origin.store.points)


@pytest.mark.parametrize("tilted", SHARED)
def test_a_mixture_of_as_many_components_is_another_runs_own(tilted):
    images = image_set(40)
    origin = learner_of(images, tigon.GaussianMixture(3, 2), tilted=False)
    origin.model.mixture.means.normal_(generator=tigon.make_rng(3))
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted)
    learner.adopt(origin)
    assert torch.equal(learner.model.mixture.means, origin.model.mixture.means)


def test_a_tilt_is_kept_though_the_mixture_is_fitted_again_or_refused():
    images = image_set(400)
    origin = learner_of(images, tigon.GaussianMixture(3, 5), tilted=True)
    torch.nn.init.normal_(origin.prior.network.last.weight, generator=tigon.make_rng(3))
    in_two_halves(origin)
    learner = learner_of(images, tigon.GaussianMixture(3, 2), tilted=True)
    learner.adopt(origin)
    assert in_two(learner.model.mixture)
    z = torch.randn(5, 3, generator=tigon.make_rng(4))
    assert torch.equal(learner.prior.tilt(z), origin.prior.tilt(z))
    with pytest.raises(ValueError, match=r"its model\.prior\.network\."):
        learner_of(images, tigon.GaussianMixture(3, 5), tilted=False).adopt(origin)
