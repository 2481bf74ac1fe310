"""Small models and data for tests of what is above the kernels."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import tigon.data
from tigon.data.images import ImageSet
from tigon.densities.mixture import GaussianMixture
from tigon.learners.descriptor import DescriptorLearner, start_images
from tigon.learners.generator import GeneratorLearner
from tigon.models.energy import EnergyModel
from tigon.models.generator import GeneratorModel
from tigon.models.residuals import Residuals
from tigon.nn.dcgan import ConvDescriptor, DCGANGenerator
from tigon.random.streams import make_rng
from tigon.recipes import DescriptorRecipe, GeneratorRecipe
from tigon.recipes.settings import DescriptorNetwork, GeneratorNetwork, ImageChains

PHOTOGRAPHS = sorted((Path(tigon.data.__file__).parent / "animal_faces").glob("*.png"))
SMALL = ["--image-size", "8", "--network.width", "4", "--iterations", "5"]  # of tigon train
LEARNED = [*SMALL, "--no-report"]


def image_set(count: int = 5, size: int = 8, seed: int = 0) -> ImageSet:
    """Random images."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
    return ImageSet(pixels, [f"{k}.png" for k in range(count)], [])


def generator_learner(count: int = 5, dim: int = 2, norm="none", **options) -> GeneratorLearner:
    """A generator of 8 x 8 images with its chains."""
    network = DCGANGenerator(dim, 8, width=4, norm=norm, rng=make_rng(1))
    return GeneratorLearner(GeneratorModel(network, dim), count, rng=make_rng(2), **options)


def descriptor_learner(images: ImageSet, start="mean-colour", norm="none", chains=None, **options):
    """A descriptor of 8 x 8 images with its start images."""
    network = ConvDescriptor(8, width=4, norm=norm, rng=make_rng(1))
    starts = start_images(images, start)
    model = EnergyModel(network, chains=chains, starts=starts, image_size=8)
    return DescriptorLearner(model, **options)


def measured_model():
    """A generator with small residuals, among images most of which it does not make.

    Returns:
        it, two images f(z) and two that are smooth and far from any, (4, 3, 8, 8)
    """
    model = generator_learner(4).model
    model.residuals = Residuals((3, 8, 8))
    rng = make_rng("whole images")
    for _ in range(30):
        decoded = model.decode(model.latents(64, rng, model.plane))
        smooth = functional.interpolate(
            torch.randn(64, 3, 3, 3, generator=rng), size=(8, 8), mode="bilinear"
        )
        model.residuals.add(0.02 * torch.randn(decoded.shape, generator=rng), 64, 1000)
        model.residuals.whole.add(0.5 * smooth, 64, 1000)
    return model, torch.cat([decoded[:2], 0.5 * smooth[:2]])


def mixture_of(weights: Tensor, means: Tensor, roots: Tensor) -> GaussianMixture:
    """The mixture with these weights (K,), means (K, d) and roots of covariances (K, d, d)."""
    mixture = GaussianMixture(means.shape[1], len(means))
    mixture.weights.copy_(weights)
    mixture.means.copy_(means)
    mixture.inverses.copy_(torch.linalg.inv(roots))
    return mixture


def generator_recipe(**options) -> GeneratorRecipe:
    """A recipe that learns 8 x 8 images in an instant."""
    network = GeneratorNetwork(width=4)
    values = {"image_size": 8, "held_out": 0.0, "latent_dim": 2, "iterations": 6, "mirror": "no"}
    values |= {"network": network, "components": 1}
    return GeneratorRecipe(**(values | options))


def descriptor_recipe(**options) -> DescriptorRecipe:
    """A recipe that learns 8 x 8 images in an instant."""
    values = {
        "image_size": 8,
        "held_out": 0.0,
        "mirror": "no",
        "iterations": 6,
        "network": DescriptorNetwork(width=4),
        "chains": ImageChains(steps=3),
    }
    return DescriptorRecipe(**(values | options))


def parameters(learner: torch.nn.Module) -> torch.Tensor:
    """All parameters as one vector, copied."""
    return torch.cat([p.detach().flatten() for p in learner.parameters()]).clone()


def count_passes(network: torch.nn.Module) -> list[int]:
    """The number of examples in each forward pass from now on."""
    passed: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: passed.append(len(inputs[0])))
    return passed
