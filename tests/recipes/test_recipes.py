"""The settings of recipes."""

import pytest

from small import image_set
from tigon.densities.gaussian import Gaussian
from tigon.errors import TigonError
from tigon.learners.noise import Annealing, LearnedNoise
from tigon.mcmc.langevin import MALA, Langevin
from tigon.models.energy import EnergyModel
from tigon.recipes import (
    GeneratorRecipe,
    OriginalDescriptorRecipe,
    OriginalGeneratorRecipe,
    recipe_type,
)
from tigon.recipes.settings import ImageChains, LatentChains


def test_the_generator_recipe_infers_by_mala_with_one_step_and_no_norm():
    learner = GeneratorRecipe(image_size=8).learner(image_set())
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
    ],
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="at least|above"):
        GeneratorRecipe(**options)


def test_a_sigma_to_learn_begins_above_its_floor_and_needs_the_likelihood_itself():
    for floor, first in [(0.01, 0.3), (0.5, 0.5)]:
        learner = GeneratorRecipe(image_size=8, sigma="learn", sigma_floor=floor).learner(
            image_set()
        )
        assert learner.noise == LearnedNoise(floor) and learner.model.sigma == first
    assert GeneratorRecipe(image_size=8).learner(image_set()).noise is None
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
