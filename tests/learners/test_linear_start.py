"""Latents that start at the linear model's, and guesses of those of unseen images."""

import numpy as np
import pytest
import torch

from small import generator_recipe, image_set
from tigon.data.images import ImageSet
from tigon.learners import linear_start
from tigon.learners.generator import GeneratorLearner
from tigon.learners.linear_start import LinearStart
from tigon.models.cold_start import ColdStart, LinearGuess
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng
from tigon.sizes import averaged_size
from tigon.training.average import AveragedWeights


def flat_images(count, dim=3, size=16, seed=0):
    """Images that lie in `dim` dimensions, but for rounding."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).normal(size=(dim, size // 4, size // 4, 3)) * 14
    codes = rng.normal(size=(count, dim))
    patterns = patterns.repeat(4, 1).repeat(4, 2)
    pixels = 128 + np.tensordot(codes, patterns, 1)
    pixels = pixels.round().clip(0, 255).astype(np.uint8)
    return ImageSet(pixels, [f"{k}.png" for k in range(count)], [])


def test_chains_start_at_whitened_scores_which_have_the_priors_moments():
    images = flat_images(200)
    learner = generator_recipe(image_size=16, latent_dim=3).learner(images)
    start = learner.store.read(torch.arange(200))
    assert start.mean(0).abs().max() < 1e-4
    covariance = start.T @ start / 200
    torch.testing.assert_close(covariance, torch.eye(3), atol=1e-3, rtol=0)
    y = images.read(torch.arange(200)).flatten(1)
    back = torch.linalg.lstsq(torch.cat([start, torch.ones(200, 1)], 1), y)
    error = torch.cat([start, torch.ones(200, 1)], 1) @ back.solution - y
    rounding = (2 / 255) ** 2 / 12
    assert error.square().mean() < 1.1 * rounding  # the scores determine the images


def test_latents_beyond_the_components_are_the_priors_draws():
    images = image_set(4)
    linear, prior = (
        generator_recipe(latent_dim=6, start=start).learner(images).store.points
        for start in ("linear", "prior")
    )
    assert not torch.isclose(linear[:, :3], prior[:, :3]).any()
    assert torch.equal(linear[:, 3:], prior[:, 3:])


def test_an_image_unlike_all_others_starts_on_its_side_and_its_chain_is_not_lost():
    pixels = np.random.default_rng(0).integers(126, 131, (300, 8, 8, 3)).astype(np.uint8)
    pixels[5] = 255
    images = ImageSet(pixels, [f"{k}.png" for k in range(300)], [])
    learner = generator_recipe(latent_dim=2).learner(images)
    scores = LinearStart(images, 2).components.scores(images.read(slice(5, 6)))[0, :2]
    assert scores.square().sum() > 250  # of 300 images, 299 at most
    start = learner.store.read(torch.tensor([5]))[0]
    torch.testing.assert_close(start / start.norm(), scores / scores.norm())
    assert len(learner.bad_chains()) == 0


def test_every_chain_starts_at_its_own_image_in_files_and_in_parts(monkeypatch):
    from tigon.mcmc import store_files
    from tigon.recipes.settings import LatentChains

    images = image_set(7)
    whole = generator_recipe().learner(images).store.points
    monkeypatch.setattr(store_files, "CHUNK", 3)
    files = generator_recipe(chains=LatentChains(store="files")).learner(images)
    torch.testing.assert_close(files.store.read(torch.arange(7)), whole)


@pytest.mark.parametrize("count", [1, 3])
def test_images_that_are_all_the_same_have_no_linear_model(count):
    pixels = np.full((count, 8, 8, 3), 90, np.uint8)
    images = ImageSet(pixels, [f"{k}.png" for k in range(count)], [])
    linear, prior = (
        generator_recipe(start=start).learner(images).store.points for start in ("linear", "prior")
    )
    assert torch.equal(linear, prior)


def test_a_guess_finds_the_latents_of_unseen_images_where_they_are_linear_in_them(monkeypatch):
    monkeypatch.setattr(linear_start, "RIDGE", 1e-6)
    seen, unseen = flat_images(300), flat_images(50, seed=1)
    start = LinearStart(seen, 3)
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3))).Q

    def latents(images):
        return start.components.scores(images)[:, :3] @ turned + 0.5

    guess = LinearGuess(3, (3, 16, 16))
    assert torch.equal(guess(unseen.read(torch.arange(50))), torch.zeros(50, 3))
    start.fit(guess, latents(seen.read(start.rows)))
    y = unseen.read(torch.arange(50))
    torch.testing.assert_close(guess(y), latents(y), atol=2e-2, rtol=0)


class Linear(torch.nn.Module):
    """f(z) = A z."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = torch.nn.Parameter(matrix)

    def forward(self, z):
        return (z @ self.matrix).unflatten(1, (1, 8, 8))


def test_inference_starts_half_of_its_chains_at_the_guess_and_keeps_the_best():
    rng = torch.Generator().manual_seed(0)
    matrix = torch.linalg.qr(torch.randn(64, 32, generator=rng)).Q.T
    guess = LinearGuess(32, (1, 8, 8))
    guess.matrix.copy_(matrix)  # its rows are orthonormal: this is the inverse
    model = GeneratorModel(Linear(matrix), 32, 0.05, guess=guess)
    z = torch.randn(3, 32, generator=rng) / 3
    y = model.decode(z)
    how = ColdStart(starts=4, temperatures=2, steps=2)
    near = model.infer(y, RowRng(0, 0, range(12)), how)
    far = model.infer(y, RowRng(0, 0, range(12)), ColdStart(4, 2, 1000.0, 2, guess=False))
    assert (near.errors < 0.1 * far.errors).all()
    once = model.infer(y, RowRng(0, 0, range(3)), ColdStart(starts=1, temperatures=2, steps=2))
    alone = ColdStart(starts=1, temperatures=2, steps=2, guess=False)
    assert torch.equal(once.latents, model.infer(y, RowRng(0, 0, range(3)), alone).latents)


def test_the_guess_is_fitted_when_learning_ends_and_saved_with_the_model(tmp_path):
    images = image_set(12)
    trainer = generator_recipe(average=0.5).trainer(images)
    trainer.fit()
    model = trainer.learner.model
    assert model.guess.matrix.abs().sum() > 0
    with trainer.averaged() as learner:
        assert torch.equal(learner.model.guess.matrix, model.guess.matrix)
    model.save_pretrained(tmp_path / "model")
    y = images.read(torch.arange(4))
    again = GeneratorModel.from_pretrained(tmp_path / "model")
    assert torch.equal(again.guess(y), model.guess(y))


def test_a_networks_own_parameters_are_averaged_and_saved_whatever_their_names():
    network = Linear(torch.ones(2, 64))
    network.sigma = torch.nn.Parameter(torch.ones(3))
    model = GeneratorModel(network, 2, guess=LinearGuess(2, (1, 8, 8)))
    average = AveragedWeights(GeneratorLearner(model, 4), 0.5)
    average.update()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor += 1 if name != "plane" else 0
    average.update()
    kept = {name.removeprefix("model."): value for name, value in average.weights.items()}
    for name in ("network.matrix", "network.sigma"):
        torch.testing.assert_close(kept[name], model.state_dict()[name] - 1 + 2 / 3)
    assert torch.equal(kept["guess.matrix"], model.guess.matrix)
    assert {"network.matrix", "network.sigma", "guess.matrix"} <= model.tensors().keys()
    assert "sigma" not in model.tensors()


@pytest.mark.parametrize(
    ("size", "averaged"), [(64, 32), (32, 32), (8, 8), (100, 50), ((48, 64), (24, 32)), (56, 28)]
)
def test_images_are_averaged_to_about_32_pixels(size, averaged):
    assert averaged_size(size) == averaged
