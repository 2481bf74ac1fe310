"""In bfloat16 products of the loss and of descriptors' chains are rounded, and nothing else is."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from small import image_set
from tigon.data.batches import Batch
from tigon.random.streams import make_rng
from tigon.recipes import DescriptorRecipe, GeneratorRecipe
from tigon.recipes.settings import DescriptorNetwork, GeneratorNetwork, ImageChains

RECIPES = {
    "generator": GeneratorRecipe(
        8, precision="bfloat16", latent_dim=2, network=GeneratorNetwork(4)
    ),
    "descriptor": DescriptorRecipe(
        image_size=8, network=DescriptorNetwork(4), chains=ImageChains(3), precision="bfloat16"
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_only_products_are_rounded(recipe):
    trainer = recipe.trainer(image_set())
    learner, seen = trainer.learner, set()
    for layer in learner.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda layer, given, shown: seen.add(shown.dtype))
    record = trainer.step()
    chains = {torch.float32} if recipe.persistent else set()
    assert seen == {torch.bfloat16} | chains
    assert {p.dtype for p in learner.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in learner.parameters()} == {torch.float32}
    tensors = learner.chain_tensors()
    for number in ("step_size", "given_step_size"):  # to be restored to the bit
        tensors.pop(number, None)
    assert {c.dtype for c in tensors.values()} <= {torch.float32, torch.int64, torch.bool}
    assert all(torch.tensor(value).isfinite().all() for value in record.values())


def test_a_descriptors_sum_is_not_rounded():
    network = RECIPES["descriptor"].model().network
    images = torch.rand(4, 3, 8, 8, generator=make_rng(0)) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(images)
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded, network(images), rtol=0.03, atol=0.03)


def test_a_generators_chains_are_those_of_float32():
    """Its posterior soon becomes narrower than the spacing of bfloat16 numbers."""
    ours, plain = (
        replace(RECIPES["generator"], precision=precision).trainer(image_set()).learner
        for precision in ("bfloat16", "float32")
    )
    images, index = image_set().read(), torch.arange(5)
    draws = [learner.run_chains(Batch(images, index), make_rng(0)) for learner in (ours, plain)]
    assert torch.equal(*draws)


def test_a_descriptors_chains_come_to_the_same_images():
    """Up to a part of a hundred of how far apart training images are."""
    ours, plain = (
        replace(RECIPES["descriptor"], precision=precision).trainer(image_set()).learner
        for precision in ("bfloat16", "float32")
    )
    index, images = torch.arange(5), image_set().read()
    found = [learner.synthesise(index, make_rng(0)) for learner in (ours, plain)]
    assert not torch.equal(*found)
    assert (found[0] - found[1]).square().mean() < 1e-4 * images.var(0).mean()
