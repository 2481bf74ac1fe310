"""The settings of recipes."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import tigon
from small import image_set
from tigon.data.images import ImageSet
from tigon.densities.gaussian import Gaussian
from tigon.errors import TigonError
from tigon.learners.noise import Annealing, LearnedNoise
from tigon.mcmc.langevin import MALA, Langevin
from tigon.models.energy import EnergyModel
from tigon.recipes import (
    DescriptorRecipe,
    GeneratorRecipe,
    LatentEBMRecipe,
    OriginalDescriptorRecipe,
    OriginalGeneratorRecipe,
    recipe_type,
)
from tigon.recipes.settings import GeneratorNetwork, ImageChains, LatentChains, with_value


def test_the_generator_recipe_infers_by_mala_with_one_step_and_no_norm():
    learner = GeneratorRecipe(image_size=8, latent_dim=2).learner(image_set())
    assert isinstance(learner.chains.kernel, MALA) and learner.chains.steps == 1
    assert learner.expand and not learner.average_likelihood
    assert not list(learner.model.network.buffers())


def test_the_original_generator_is_as_it_was():
    recipe = OriginalGeneratorRecipe(image_size=8)
    learner = recipe.learner(image_set())
    assert learner.chains.kernel == Langevin(0.3) and learner.chains.steps == 30
    assert learner.average_likelihood and not learner.expand
    assert recipe.network.kernel_size == 5 and recipe.network.norm == "batch"
    assert (recipe.sigma, recipe.latent_dim, recipe.iterations) == (0.3, 2, 600)
    assert recipe.optimizer.learning_rate == 1e-3 and recipe.optimizer.schedule == "constant"
    learner.begin(0.0)
    assert learner.model.sigma == 0.3


def test_the_original_descriptor_is_as_it_was():
    """Its numbers are on the scale of 0 to 255; ours are the same on [-1, 1]."""
    recipe = OriginalDescriptorRecipe(image_size=8)
    learner = recipe.learner(image_set())
    kernel = learner.chains.kernel
    assert kernel.step_size * 127.5 == pytest.approx(0.3) and kernel.temperature == 1.0
    assert (
        learner.chains.adaptation is None
        and learner.chains.final is None
        and learner.batch_statistics
    )
    assert isinstance(learner.model, EnergyModel) and learner.model.network.bytes_range
    assert learner.model.reference == Gaussian(-1.0, 50 / 127.5)
    assert recipe.optimizer.learning_rate == 0.1 and recipe.optimizer.schedule == "constant"


def test_the_originals_say_that_they_are_for_comparison_only():
    for kind in (OriginalGeneratorRecipe, OriginalDescriptorRecipe):
        assert "FOR COMPARISON ONLY" in kind.__doc__


@pytest.mark.parametrize(
    "options",
    [
        {"latent_dim": 0},
        {"sigma": 0.0},
        {"sigma": "learn", "sigma_floor": 0.0},
        {"batch_size": 0},
        {"seed": -1},
        {"iterations": 0},
        {"annealing": Annealing(0.0)},
        {"annealing": Annealing(until=1.5)},
        {"annealing": Annealing(until=-0.1)},
    ],
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"at least|above|in \[0, 1\]"):
        GeneratorRecipe(**options)


@pytest.mark.parametrize(
    "name", ["sigma", "annealing.start", "chains.step_size", "optimizer.clip"]
)
def test_numbers_that_are_not_finite_are_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"{re.escape(name)} must be a finite number, not inf"):
        with_value(GeneratorRecipe(), name, math.inf)
    assert GeneratorRecipe(guard=replace(GeneratorRecipe().guard, gradient=math.inf))


def test_a_sigma_to_learn_begins_above_its_floor_and_needs_the_likelihood_itself():
    for floor, first in [(0.01, 0.3), (0.5, 0.5)]:
        learner = GeneratorRecipe(8, latent_dim=2, sigma="learn", sigma_floor=floor).learner(
            image_set()
        )
        assert learner.noise == LearnedNoise(floor) and learner.model.sigma == first
    assert GeneratorRecipe(8, latent_dim=2).learner(image_set()).noise is None
    with pytest.raises(ValueError, match="sigma cannot be learned with an averaged"):
        OriginalGeneratorRecipe(sigma="learn")


def test_an_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(TigonError, match="'gan': there are generator, descriptor"):
        recipe_type("gan")


def test_a_recipe_learns_images_in_the_size_they_have():
    trainer = GeneratorRecipe(image_size=64).trainer(image_set(size=16))
    assert trainer.learner.show(2).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    "build",
    [
        lambda: LatentChains(steps=0),
        lambda: LatentChains(step_size=0.0),
        lambda: LatentChains(temperature=0.0),
        lambda: LatentChains(target_accept=1.0),
        lambda: ImageChains(shrink=1.5),
        lambda: ImageChains(temperature=-1.0),
    ],
)
def test_chains_that_make_no_sense_are_refused(build):
    with pytest.raises(ValueError, match="chains"):
        build()


def directions(count, many, noise=0.01):
    """Images that differ in `many` directions, and a little in all."""
    rng = np.random.default_rng(0)
    scores, along = rng.standard_normal((count, many)), rng.standard_normal((many, 8 * 8 * 3))
    flat = 128 + 12 * scores @ along / many**0.5 + noise * rng.standard_normal((count, 192))
    pixels = flat.clip(0, 255).astype(np.uint8).reshape(count, 8, 8, 3)
    return ImageSet(pixels, [str(k) for k in range(count)], [])


@pytest.mark.parametrize(
    ("count", "many", "latents"), [(5, 3, 2), (40, 3, 2), (40, 30, 5), (400, 8, 6), (400, 190, 50)]
)
def test_the_number_of_latents_follows_the_variety_of_the_images(count, many, latents):
    recipe = GeneratorRecipe(image_size=8, network=GeneratorNetwork(width=4))
    images = directions(count, many)
    found = recipe.resolved(images)
    assert abs(found.latent_dim - latents) <= (1 if latents == 6 else 0)
    assert recipe.trainer(images).learner.model.latent_dim == found.latent_dim
    assert found.resolved(image_set()) == found and not found.choices(images)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (GeneratorRecipe(latent_dim=2), [400, 400, 200, 750, 4500]),
        (DescriptorRecipe(), [600, 600, 700, 850, 950]),
    ],
)
def test_iterations_follow_the_number_of_images(recipe, expected):
    """A generator of few images learns them by heart; of 50 or more it must know others."""
    assert [iterations(recipe, count) for count in (3, 10, 100, 1000, 10_000)] == expected


def iterations(recipe, count):
    pixels = np.zeros((count, 8, 8, 3), np.uint8)
    return recipe.resolved(ImageSet(pixels, [""] * count, [])).iterations


def test_a_descriptor_of_few_images_is_narrow():
    recipe = DescriptorRecipe(image_size=8, iterations=1)
    for count, width in ((3, 32), (49, 32), (50, 64)):
        images = ImageSet(np.zeros((count, 8, 8, 3), np.uint8), [""] * count, [])
        assert recipe.resolved(images).network.width == width
        assert recipe.trainer(images).learner.model.network.config()["width"] == width
    given = replace(recipe, network=replace(recipe.network, width=6))
    assert given.resolved(images).network.width == 6
    assert OriginalDescriptorRecipe().resolved(image_set()).network.width == 64


def test_a_mixture_of_priors_has_a_density_for_300_images():
    recipe = LatentEBMRecipe(image_size=8, iterations=1, latent_dim=2)
    for count, components in ((3, 1), (599, 1), (600, 2), (9300, 30)):
        images = ImageSet(np.zeros((count, 8, 8, 3), np.uint8), [""] * count, [])
        assert recipe.resolved(images).components == components


def test_a_recipe_for_mirrored_images_refuses_others():
    recipe, images = GeneratorRecipe(image_size=8, mirror="yes", iterations=1), image_set(60)
    with pytest.raises(ValueError, match=r"use tigon\.mirrored\(images\)"):
        recipe.trainer(images)
    trainer = recipe.trainer(tigon.mirrored(images))
    assert len(trainer.data) == trainer.learner.count == 120


def test_a_mixture_keeps_the_number_of_its_densities_when_another_run_begins_with_it():
    origin = GeneratorRecipe(latent_dim=2, components=5)
    assert LatentEBMRecipe().begun_from(origin).components == 5
    assert LatentEBMRecipe(components=3).begun_from(origin).components == 3


def test_what_is_given_is_not_chosen():
    recipe = GeneratorRecipe(latent_dim=3, components=2, iterations=7, held_out=0.0, mirror="no")
    assert not recipe.choices(image_set(60))
    assert set(GeneratorRecipe(minutes=1).choices(image_set(60))) == {
        "components",
        "held_out",
        "latent_dim",
        "mirror",
    }
    with pytest.raises(ValueError, match="^latent_dim is not known without images: give it, or"):
        GeneratorRecipe().model()
    with pytest.raises(ValueError, match="^iterations is not known without images"):
        _ = DescriptorRecipe().budget
    with pytest.raises(ValueError, match=r"^held_out must be in \[0, 1\), not 1"):
        GeneratorRecipe(held_out=1.0)


def test_a_tenth_of_a_folder_is_held_out(pictures):
    recipe = DescriptorRecipe(image_size=8)
    assert recipe.load(str(pictures)).held_out is None
    some = replace(recipe, held_out=0.4).load(str(pictures))
    assert len(some) == 3 and len(some.held_out) == 2
    with pytest.raises(ValueError, match=r"no image of these is held out; .* tigon\.hold_out"):
        replace(recipe, held_out=0.4).trainer(recipe.load(str(pictures)))
