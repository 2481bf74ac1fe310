import numpy as np
import torch
from sklearn.datasets import load_digits

from small import generator_recipe, image_set
from tigon.data.images import ImageSet
from tigon.recipes import GeneratorRecipe


def drawings() -> ImageSet:
    """Return 600 small drawings in white, on much black: 16 x 16 pixels."""
    pixels = (load_digits().images[:600] * 255 / 16).astype(np.uint8)
    pixels = np.pad(pixels, ((0, 0), (4, 4), (4, 4)))[..., None].repeat(3, 3)
    return ImageSet(pixels, [f"{k}.png" for k in range(600)], [])


def test_images_that_are_mostly_black_do_not_kill_the_network():
    """Its outputs all go to black at first, and must not stay there, where tanh is flat."""
    recipe = GeneratorRecipe(image_size=16, latent_dim=10, iterations=300, held_out=0.0)
    trainer = recipe.trainer(drawings())
    for _ in range(30):
        record = trainer.step()
    assert record["spread"] > 0.1


def test_a_linear_start_begins_at_the_mean_colour():
    images = image_set()
    colour = images.read().mean((0, 2, 3))
    network = generator_recipe().learner(images).model.network
    assert torch.allclose(network.rest[-2].bias.detach().tanh(), colour, atol=0.02)
    network = generator_recipe(start="prior").learner(images).model.network
    assert not network.rest[-2].bias.any()
