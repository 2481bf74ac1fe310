"""Probes of trained models with known answers."""

import pytest
import torch
from torch import nn

from small import descriptor_learner, image_set
from tigon.data.batches import Batch
from tigon.diagnostics.probes import probe_images, probe_latents
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.rules.chains import of_images, of_latents
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.models.energy import EnergyModel
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng


class Linear(nn.Module):
    """f(z) = A z + b as images of 2 x 2 pixels."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 4)
        with torch.no_grad():
            self.first.weight.normal_(generator=make_rng(5))

    def forward(self, z):
        return self.first(z).view(-1, 1, 2, 2)


def linear_learner(kernel, adaptation=None):
    learner = GeneratorLearner(
        GeneratorModel(Linear(), 2, 0.5), 6, MCMC(kernel, 1, adaptation), rng=make_rng(2)
    )
    z = torch.randn(6, 2, generator=make_rng(3))
    images = learner.decode(z)
    learner.store.replace(lambda points: z)
    return learner, Batch(images, torch.arange(6))


def test_chains_that_sample_their_posterior_are_found_to():
    learner, batch = linear_learner(MALA(0.4))
    probe = probe_latents(learner, batch, RowRng(0, 0, range(6)), steps=600)
    assert probe.rhat < 1.03 and probe.ess > 200
    assert 0.9 < probe.temperature < 1.1
    assert probe.states == 2400 and probe.log_densities.shape == (600, 4, 6)
    assert probe.error_before == pytest.approx(0, abs=1e-6) and 0 < probe.error_after < 1


def test_unadjusted_steps_that_are_too_long_are_found_hot():
    learner, batch = linear_learner(Langevin(0.3))
    learner.scale_steps(1.3)
    probe = probe_latents(learner, batch, RowRng(0, 0, range(6)), steps=600)
    assert probe.accept == 1 and probe.temperature > 1.2


@pytest.mark.parametrize(
    ("kernel", "temperature", "level", "remedy"),
    [
        (Langevin(0.3), 3.0, Level.BAD, "--chains.kernel mala"),
        (MALA(0.3), 3.0, Level.BAD, "train for longer"),
        (MALA(0.3), 0.1, Level.NOTE, "hardly left"),
    ],
)
def test_what_to_do_about_a_temperature_depends_on_the_kernel(kernel, temperature, level, remedy):
    learner, batch = linear_learner(kernel)
    probe = probe_latents(learner, batch, RowRng(0, 0, range(6)), steps=30)
    found = of_latents(probe._replace(temperature=temperature), learner)
    (heat,) = [finding for finding in found if finding.name == "implied temperature"]
    assert heat.level is level and remedy in heat.remedy


def test_chains_that_run_away_are_a_finding_and_no_error():
    learner, batch = linear_learner(Langevin(2.0))
    probe = probe_latents(learner, batch, RowRng(0, 0, range(6)), steps=600)
    (finding,) = of_latents(probe, learner)
    assert finding.level is Level.BAD and "run away" in finding.what
    chains = MCMC(Langevin(4.0), 30)
    learner, batch = flat_learner(chains)
    probe = probe_images(learner, batch, RowRng(0, 0, range(6)), length=10)
    (finding,) = of_images(probe, learner)
    assert finding.level is Level.BAD and "run away" in finding.what


def test_a_probe_leaves_the_chains_where_they_are():
    learner, batch = linear_learner(MALA(0.4))
    before = [column.clone() for column in learner.chain_tensors().values()]
    probe_latents(learner, batch, RowRng(0, 0, range(6)), steps=20)
    after = learner.chain_tensors().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def flat_learner(chains):
    """A descriptor whose network is 0: its density is the reference, N(0, 0.25)."""
    images = image_set(6)
    network = nn.Linear(3 * 8 * 8, 1)
    nn.init.zeros_(network.weight)
    network = nn.Sequential(nn.Flatten(), network, nn.Flatten(0))
    model = EnergyModel(network, 0.5, 0.0, chains, torch.zeros(6, 3, 1, 1), 8)
    return DescriptorLearner(model), Batch(images.read(), torch.arange(6))


def test_long_chains_of_a_density_stay_at_its_temperature():
    learner, batch = flat_learner(MCMC(MALA(0.2), 60))
    probe = probe_images(learner, batch, RowRng(0, 0, range(6)), length=20, states=200)
    assert probe.rhat < 1.15
    assert 0.9 < probe.temperature < 1.1
    assert probe.gradient == pytest.approx(2.0, rel=0.1), "1 / scale for each dimension"
    assert probe.log_densities.shape == (200, 6) and probe.length == 20


def test_long_chains_go_on_from_where_short_ones_ended_at_the_last_step_size():
    learner = descriptor_learner(image_set(4))
    batch = Batch(image_set(4).read(), torch.arange(4))
    probe = probe_images(learner, batch, RowRng(0, 0, range(4)), length=2, states=10)
    assert torch.equal(probe.before, learner.synthesise(batch.index, RowRng(0, 0, range(4))))
    assert probe.change > 0 and 0 <= probe.saturation_after <= 1
