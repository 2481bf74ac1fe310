"""A generator whose prior is learned."""

import pytest
import torch
from torch import nn

import tigon
from small import image_set
from tigon.learners.latent_ebm import LatentEBMLearner
from tigon.models.energy_prior import EnergyPrior, LatentTilt


def learner_of(images, dim=3, base=None, **options):
    network = tigon.DCGANGenerator(dim, 8, width=4, rng=tigon.make_rng(1))
    chains = tigon.MCMC(tigon.MALA(0.4), 3)
    prior = EnergyPrior(LatentTilt(dim, 6, tigon.make_rng(2)), dim, chains, base)
    nn.init.normal_(prior.network.last.weight, generator=tigon.make_rng(3))
    model = tigon.GeneratorModel(network, prior=prior)
    return LatentEBMLearner(model, len(images), expand=True, **options)


def test_expansion_keeps_what_each_latent_decodes_to_and_its_tilt():
    images = image_set(40)
    learner = learner_of(images)
    trainer = tigon.Trainer(learner, images, torch.optim.Adam(learner.parameters(), 0.0))
    before = learner.store.points.clone()
    shown, tilt = learner.model(before), learner.prior.tilt(before)
    learner.measure_latents()
    learner.after_update(trainer.optimizer)
    after = learner.store.points
    assert not torch.allclose(before, after, atol=1e-2)
    assert torch.allclose(learner.model(after), shown, atol=1e-4)
    assert torch.allclose(learner.prior.tilt(after), tilt, atol=1e-4)


def test_the_decoders_gradient_is_that_of_a_generator_at_the_same_latents():
    images = image_set(6)
    learner = learner_of(images)
    batch = images.batch(torch.arange(6))
    samples = learner.run_chains(batch, tigon.RowRng(0, 0, range(6)))
    loss, metrics = learner(batch, samples)
    loss.backward()
    own = [p.grad.clone() for p in learner.model.network.parameters()]
    learner.zero_grad()
    tigon.GeneratorLearner.forward(learner, batch, samples)[0].backward()
    for gradient, p in zip(own, learner.model.network.parameters(), strict=True):
        assert torch.equal(gradient, p.grad)
    drawn = learner.prior.tilt(learner._drawn) - learner.prior.tilt(samples)
    assert torch.allclose(metrics["prior_gap"], drawn.mean())


def test_another_prior_is_refused():
    network = tigon.DCGANGenerator(2, 8, width=4)
    with pytest.raises(ValueError, match="the prior is a StandardNormal, not an EnergyPrior"):
        LatentEBMLearner(tigon.GeneratorModel(network, 2), 3)
