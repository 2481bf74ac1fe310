"""In bfloat16 the network's products are rounded; weights, chains and log-densities are not."""

import pytest
import torch
from torch import nn

from small import image_set
from tigon.densities import GeneratorModel, frozen
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.networks.dcgan import DCGANGenerator
from tigon.recipes import Descriptor, Generator
from tigon.settings import DescriptorNetwork, GeneratorNetwork, ImageChains
from tigon.streams import make_rng

RECIPES = {
    "generator": Generator(image_size=8, network=GeneratorNetwork(4), precision="bfloat16"),
    "descriptor": Descriptor(
        image_size=8, network=DescriptorNetwork(4), chains=ImageChains(3), precision="bfloat16"
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_only_products_are_rounded(recipe):
    training = recipe.training(image_set())
    learner, seen = training.learner, set()
    for layer in learner.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda layer, given, shown: seen.add(shown.dtype))
    record = training.step()
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in learner.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in learner.parameters()} == {torch.float32}
    assert {c.dtype for c in learner.chain_tensors().values()} <= {torch.float32, torch.int64}
    assert all(torch.tensor(value).isfinite().all() for value in record.values())


def test_a_descriptors_sum_is_not_rounded():
    network = RECIPES["descriptor"].model().network
    images = torch.rand(4, 3, 8, 8, generator=make_rng(0)) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(images)
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded, network(images), rtol=0.03, atol=0.03)


@pytest.mark.slow
def test_chains_in_bfloat16_have_the_acceptance_and_the_moments_of_those_in_float32():
    """256 chains on the posterior of each of four images, at the noise of the recipes."""
    model = GeneratorModel(DCGANGenerator(2, 16, width=16, rng=make_rng(1)), 2, sigma=0.3)
    rng, many = make_rng(2), 256
    with torch.no_grad():
        z = model.latents(4, rng, torch.zeros(1))
        images = model(z) + 0.3 * torch.randn(4, 3, 16, 16, generator=rng)
    log_density = model.posterior(images.repeat_interleave(many, 0))

    def found(rounded):
        start, noise = z.repeat_interleave(many, 0), make_rng(3)
        with frozen(model), torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            warm = MCMC(MALA(0.1), 60, StepSizeAdaptation()).run(log_density, start, noise)
            draws = MCMC(MALA(0.1), 120).run(log_density, warm.x, noise, warm.step_size, keep=4)
        assert draws.x.dtype == torch.float32
        states = draws.trajectory.unflatten(1, (4, many)).transpose(0, 1).flatten(1, 2)
        return draws.accept_prob.mean(), states.mean(1), states.std(1)

    (accept, mean, width), (rounded, mean16, width16) = found(False), found(True)
    assert abs(rounded - accept) < 0.1
    assert ((mean16 - mean).abs() < 0.3 * width).all()
    assert ((width16 / width - 1).abs() < 0.15).all()
