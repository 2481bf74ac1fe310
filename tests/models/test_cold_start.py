from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn

from small import count_passes, generator_learner
from tigon.models.cold_start import ColdStart, descend, highest
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng


def test_temperatures_fall_geometrically_to_one():
    assert torch.allclose(torch.tensor(ColdStart(temperatures=4, hottest=1000.0).levels()),
                          torch.tensor([1000.0, 100.0, 10.0, 1.0]))  # fmt: skip
    assert ColdStart(temperatures=1).levels() == [1.0]


def test_latents_of_a_linear_generator_are_draws_of_its_posterior():
    """With f(z) = A z the posterior is Gaussian and known: mean and covariance agree."""
    sigma, count = 0.5, 3000
    network = nn.Linear(2, 4, bias=False).double()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.2], [0.0, 0.8], [-0.5, 0.3], [0.3, -0.6]]))
    model = GeneratorModel(network, 2, sigma)
    image = torch.tensor([0.5, -1.0, 0.3, 0.8]).double()
    a = network.weight.detach()
    precision = a.T @ a / sigma**2 + torch.eye(2)
    mean = torch.linalg.solve(precision, a.T @ image / sigma**2)

    how = ColdStart(starts=1, temperatures=3, hottest=4.0, steps=30, climb=0)
    found = model.infer(image.expand(count, 4), make_rng(0), how).latents
    covariance = torch.linalg.inv(precision)
    assert (found.mean(0) - mean).abs().max() < 4.5 * (covariance.max() / count) ** 0.5
    assert (torch.cov(found.T) - covariance).abs().max() < 4.5 * covariance.max() * (
        2 / count
    ) ** 0.5
    climbed = model.infer(image.expand(5, 4), make_rng(0), replace(how, climb=300)).latents
    assert (climbed - mean).abs().max() < 1e-4


def test_the_highest_chain_climbs_and_never_falls():
    learner = generator_learner(3)
    with torch.no_grad():
        images = learner.model(learner.store.points)
    how = ColdStart(starts=4, temperatures=2, steps=3, climb=6)
    seen = [step.state for step in descend(learner.model, images, RowRng(0, 0, range(12)), how)]
    assert len(seen) == how.length + 1
    best, chains = highest(seen[6], 4), seen[6:]
    others = torch.ones(12, dtype=torch.bool).index_fill(0, best, False)
    for before, after in pairwise(chains):
        assert torch.equal(after.x[others], before.x[others])
        assert (after.log_density[best] >= before.log_density[best]).all()
    assert (chains[-1].log_density[best] > chains[0].log_density[best]).all()
    exact = learner.model.posterior(images)(chains[-1].x[best])
    assert torch.allclose(exact, chains[-1].log_density[best], rtol=1e-4)


def test_an_image_of_the_model_is_found_again():
    learner = generator_learner(3)
    with torch.no_grad():
        images = learner.model(learner.store.points)
    learner.model.sigma.fill_(0.05)
    rng = RowRng(0, 0, range(3 * 16))
    found = learner.model.infer(images, rng)
    assert found.errors.max() < 0.01
    assert torch.allclose(found.errors, ((found.images - images) ** 2).mean((1, 2, 3)))


def test_gradient_evaluations_are_those_that_are_taken():
    learner = generator_learner(3)
    with torch.no_grad():
        images = learner.model(learner.store.points)
    how = ColdStart(starts=4, temperatures=2, steps=3)
    passed = count_passes(learner.model.network)
    learner.model.infer(images, RowRng(0, 0, range(12)), how)
    decoded = len(images) + 1  # which says what shape images have
    assert sum(passed) == len(images) * how.gradient_evaluations + decoded


def test_what_an_image_becomes_does_not_depend_on_the_others():
    learner = generator_learner(3)
    with torch.no_grad():
        images = learner.model(learner.store.points)
    how = ColdStart(starts=4, temperatures=2, steps=3)
    together = learner.model.infer(images, RowRng(0, 0, range(12)), how)
    alone = learner.model.infer(images[1:2], RowRng(0, 0, range(4, 8)), how)
    assert torch.allclose(together.latents[1], alone.latents[0], atol=1e-5)
