"""Evidence about latents: exact draws pass, and what only has the prior's moments fails."""

import math

import pytest
import torch
from linear_models import images_of, linear_model, posterior
from scipy import stats
from torch import nn

from small import generator_learner
from tigon.data.batches import Batch
from tigon.densities.mixture import GaussianMixture
from tigon.diagnostics.examine import mode_findings, prior_findings
from tigon.diagnostics.probes import probe_latents, run_free
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.two_samples import energy_distance, latents_test, moments_test
from tigon.learners.expansion import moments
from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng

pytestmark = pytest.mark.exactness


def prior(seed, dim=2):
    rng = make_rng("prior", seed)
    return lambda count: torch.randn(count, dim, generator=rng, dtype=torch.float64)


def test_the_energy_distance_of_numbers_is_scipys():
    rng = make_rng(0)
    sets, other = torch.randn(3, 40, 1, generator=rng), 2 * torch.rand(60, 1, generator=rng)
    found = energy_distance(sets.double(), other.double())
    for distance, points in zip(found, sets, strict=True):
        wanted = stats.energy_distance(points[:, 0].numpy(), other[:, 0].numpy()) ** 2
        assert distance.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("count", "dim"), [(5, 2), (20, 3), (20, 12)])
def test_p_values_of_draws_of_the_prior_are_uniform(count, dim):
    """By as many sets as show a shift of .2: each test's p-values, of few latents too."""
    draw = prior(count, dim)
    sets = [draw(count) for _ in range(80)]
    for test in (lambda z: latents_test(z, draw), moments_test):
        values = [test(z).p_value for z in sets]
        assert stats.kstest(values, "uniform").pvalue > 1e-3, (min(values), max(values))


def mixture_of_two():
    """A mixture with another mean and covariance than (0, I), and how it is drawn from."""
    mixture, rng = GaussianMixture(3, 2), make_rng("two", 0)
    two = torch.randn(400, 3, generator=rng) + 3 * (torch.arange(400)[:, None] % 2)
    mixture.fit(two, 30, rng)
    return mixture, lambda count: mixture.sample(torch.empty(count, 3), rng)


def test_moments_are_compared_with_those_of_a_mixture():
    mixture, draw = mixture_of_two()
    values = [moments_test(draw(40), mixture.moments(), draw).p_value for _ in range(80)]
    assert stats.kstest(values, "uniform").pvalue > 1e-3, (min(values), max(values))
    assert moments_test(draw(40)).p_value < 1e-3, "these are not the moments of N(0, I)"
    moved = moments_test(1.5 * draw(2000) + 1, mixture.moments(), draw)
    mean, covariance = mixture.moments()
    away = (0.5 * mean + 1) @ torch.linalg.solve(covariance, 0.5 * mean + 1)
    wanted = (3 * (1.5**2 - 1 - 2 * math.log(1.5)) + away.item()) / 2 / 3
    assert moved.divergence == pytest.approx(wanted, rel=0.1) and moved.p_value < 1e-3


def test_latents_far_from_the_prior_are_as_far_as_their_gaussian_is():
    z = 3 * prior(0)(20_000) + 1
    found = moments_test(z)
    wanted = (9 - 1 - torch.tensor(9.0).log().item() + 1) / 2
    assert found.divergence == pytest.approx(wanted, rel=0.02) and found.p_value < 1e-3


def clusters(count):
    """Two clusters, 10 standard deviations apart, of mean 0 and covariance I."""
    z = prior(3)(count)
    z[:, 0] = 0.2 * z[:, 0] + 0.98 * (1 - 2 * (torch.arange(count) % 2))
    return z


def circle(count):
    """The uniform distribution on the sphere of radius sqrt(d)."""
    z = prior(4)(count)
    return z / z.norm(dim=1, keepdim=True) * 2**0.5


@pytest.mark.parametrize("count", [50, 500])
@pytest.mark.parametrize("shape", [clusters, circle])
def test_latents_with_the_priors_moments_alone_are_told_from_its_draws(shape, count):
    z = shape(count)
    assert moments_test(z).divergence < 0.1
    found = latents_test(z, prior(count))
    assert found.p_value < 1e-3 and found.distance > 2 * found.expected


def test_where_and_how_wide_latents_are_is_not_what_the_two_sample_test_looks_at():
    z = prior(5)(60)
    moved = z @ torch.tensor([[3.0, 2.0], [0.0, 1.0]], dtype=z.dtype) + 1
    found, other = latents_test(z, prior(6)), latents_test(moved, prior(6))
    assert found.p_value > 0.01 and found.distance == pytest.approx(other.distance, rel=1e-5)
    draw = prior(6)
    wide = latents_test(z, lambda count: 3 * draw(count) - 2)
    assert wide.distance == pytest.approx(found.distance, rel=1e-5), "nor where the prior is"


def exact_learner(seed, count=60):
    """A linear generator whose chains are at draws of their posteriors, 0.1 to 0.6 wide."""
    rng = make_rng("linear", seed)
    model = linear_model(rng, sigma=1.5, shape=(1, 8, 8))
    images = images_of(model, torch.randn(count, 2, generator=rng).double(), rng)
    mean, covariance = posterior(model, images)
    noise = torch.randn(count, 2, generator=rng).double() @ torch.linalg.cholesky(covariance).T
    learner = GeneratorLearner(model, count, MCMC(MALA(0.3), 1), expand=True)
    learner.store.replace(lambda _: mean + noise)
    return learner, Batch(images, torch.arange(count))


SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] if seed > 4 else []) for seed in range(20)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_linear_generator_at_its_exact_posterior_passes(seed):
    learner, batch = exact_learner(seed)
    found = prior_findings(learner, batch, seed)
    few = Batch(batch.images[:4], batch.index[:4])
    own = probe_latents(learner, few, RowRng(seed, 0, range(4)), steps=100)
    found += mode_findings(learner, few, own, seed)
    assert {finding.name: finding.level for finding in found if finding.level is Level.BAD} == {}
    assert found[0].level is Level.GOOD and "travelled" in found[0].what
    assert found[-1].name == "other modes" and "for 4 of the images, one ended" in found[-1].what


def test_free_chains_travel_as_far_as_posteriors_are_wide():
    learner, batch = exact_learner(0, 400)
    _, covariance = posterior(learner.model, batch.images)
    before = learner.store.points.clone()
    run = run_free(learner, batch, RowRng(0, 0, range(400)))
    wanted = (covariance.trace() / 2).sqrt().item()
    assert run.steps == 25 and run.travel == pytest.approx(wanted, rel=0.1)
    assert torch.equal(learner.store.points, before)


def absurd_learner(linear, count=40):
    """Unadjusted chains that overshoot, and parameter expansion after each update."""
    chains = MCMC(Langevin(2.5), 1)
    if linear:
        model = linear_model(make_rng(1), 20.0, (1, 8, 8)).float()
        learner = GeneratorLearner(model, count, chains, expand=True)
    else:
        learner = generator_learner(count, chains=chains, expand=True)
    images = learner.sample(count, make_rng(3))
    batch = Batch(images, torch.arange(count))
    optimizer = torch.optim.Adam(learner.parameters(), 1e-3)
    for iteration in range(2):
        samples = learner.run_chains(batch, RowRng(0, iteration, range(count)))
        loss, metrics = learner(batch, samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.after_update(optimizer)
    learner.store.replace(moments(learner.store.parts).affine(1.0).apply)
    return learner, batch, metrics


@pytest.mark.parametrize("linear", [True, False])
def test_absurd_chains_fail_though_expansion_gives_them_the_priors_moments(linear):
    learner, batch, metrics = absurd_learner(linear)
    assert moments_test(learner.latents()).p_value == 1, "forced"
    assert metrics["latent_std"].min() > 2, "before expansion"
    assert prior_findings(learner, batch, 0)[0].level is Level.BAD


class Curve(nn.Module):
    """f of one latent, as an image of two equal pixels."""

    def __init__(self, function):
        super().__init__()
        self.function, self.unused = function, nn.Parameter(torch.zeros(()))

    def forward(self, z):
        return self.function(z).view(-1, 1, 1, 1).expand(-1, 1, 1, 2)


def modes_found(function, at, begin, size=0.05):
    """The finding of chains from the prior, for four images f(at) with chains at `begin`."""
    chains = MCMC(MALA(size), 1, StepSizeAdaptation())
    learner = GeneratorLearner(GeneratorModel(Curve(function), 1, 0.05), 4, chains)
    learner.store.replace(lambda points: torch.full_like(points, begin))
    batch = Batch(learner.decode(torch.full((4, 1), at)), torch.arange(4))
    own = probe_latents(learner, batch, RowRng(0, 0, range(4)), steps=100)
    assert own.rhat < 1.1, "chains that start side by side see nothing"
    (finding,) = mode_findings(learner, batch, own, 0)
    return finding


def test_two_exact_modes_are_reported_as_several():
    finding = modes_found(torch.abs, 1.0, 1.0)
    assert finding.name == "several modes" and finding.level is Level.NOTE
    assert finding.value >= 3, "three chains miss the other of two modes once in eight"


def test_a_stored_chain_in_a_worse_mode_is_found_and_one_in_the_better_is_not():
    def cubic(z):
        return ((z + 2) ** 3 - 3 * (z + 2)) / 2

    worse = modes_found(cubic, 0.1, -3.0)
    assert worse.level is Level.BAD and worse.value >= 3 and "higher by" in worse.what
    better = modes_found(cubic, 0.1, 0.1, 0.01)
    assert better.level is not Level.BAD and better.name in ("other modes", "cold inference")
