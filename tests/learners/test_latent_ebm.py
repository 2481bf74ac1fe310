"""A generator whose prior is learned."""

import pytest
import torch
from torch import nn

import tigon
from small import image_set
from tigon.data.batches import Batch
from tigon.learners.latent_ebm import LatentEBMLearner
from tigon.models.energy_prior import EnergyPrior, LatentTilt


class Linear(nn.Module):
    """y = z on an image of two pixels, which is not learned."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        nn.init.eye_(self.first.weight)
        nn.init.zeros_(self.first.bias)
        self.requires_grad_(False)

    def forward(self, z):
        return self.first(z).view(-1, 1, 1, 2)


class Gauss(nn.Module):
    """f(z) = a z - sum of b z^2 / 2: the tilts that make a normal density of N(0, I)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def forward(self, z):
        return z @ self.a - 0.5 * z.square() @ self.b


@pytest.mark.exactness
def test_the_prior_becomes_the_normal_density_of_maximum_likelihood():
    """With y = z + noise, it has the images' mean, and their variance less that of the noise."""
    count, sigma = 400, 0.3
    raw = torch.randn(count, 2, generator=tigon.make_rng(0))
    raw = (raw - raw.mean(0)) / raw.std(0, unbiased=False)
    mean, deviation = torch.tensor([0.4, -0.2]), torch.tensor([0.8, 0.6])
    images = (mean + deviation * raw).view(-1, 1, 1, 2)
    prior = EnergyPrior(Gauss(), 2, tigon.MCMC(tigon.MALA(0.4), 20))
    model = tigon.GeneratorModel(Linear(), prior=prior, sigma=sigma)
    learner = LatentEBMLearner(model, count, tigon.MCMC(tigon.MALA(0.3), 3))
    optimizer = torch.optim.Adam(prior.parameters(), 0.1)
    late = []
    for iteration in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 if iteration < 120 else 0.01
        batch = Batch(images, torch.arange(count))
        samples = learner.run_chains(batch, tigon.RowRng(0, iteration, range(count)))
        loss, metrics = learner(batch, samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        late.append(torch.stack([prior.network.a, prior.network.b]).detach())
    a, b = torch.stack(late[160:]).mean(0)
    variance = deviation**2 - sigma**2
    assert torch.allclose(1 / (1 + b), variance, rtol=0.06)
    assert torch.allclose(a / (1 + b), mean, atol=0.04)
    assert abs(metrics["prior_gap"].item()) < 0.2


def learner_of(images, dim=3, **options):
    network = tigon.DCGANGenerator(dim, 8, width=4, rng=tigon.make_rng(1))
    prior = EnergyPrior(LatentTilt(dim, 6, tigon.make_rng(2)), dim, tigon.MCMC(tigon.MALA(0.4), 3))
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
