"""A model is measured on images that it has not seen, each described once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from small import generator_learner, image_set
from tigon.data.images import ImageSet
from tigon.diagnostics import evaluation
from tigon.diagnostics.evaluation import compare, evaluate
from tigon.errors import TigonError
from tigon.models.cold_start import Reconstruction
from tigon.random.streams import make_rng


def infer(model, images):
    """Latents at 0, which cost nothing."""
    latents = torch.zeros(len(images), model.latent_dim)
    return Reconstruction(latents, model.decode(latents), torch.zeros(len(images)))


def test_copies_among_large_images_are_refused_as_held_out():
    """Where single precision gives two copies a distance: of many images of many pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 64, 64, 3), np.uint8)
    training = ImageSet(pixels[:50], [str(k) for k in range(50)], [])
    held_out = ImageSet(pixels[49:], [str(k) for k in range(31)], [])
    with pytest.raises(TigonError, match="1 of 31 held-out images are training images"):
        evaluate(generator_learner(50).model, held_out, training, infer)


def test_copies_are_found_among_all_training_images_however_few_are_compared(monkeypatch):
    monkeypatch.setattr(evaluation, "MOST", 10)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 8, 8, 3), np.uint8)
    names = [str(k) for k in range(90)]
    training = ImageSet(pixels[:60], names[:60], [])
    held_out = ImageSet(pixels[40:], names[40:], [])
    model = generator_learner(60).model
    with pytest.raises(TigonError, match="10 of 24 held-out images are training images"):
        evaluate(model, held_out, training, infer, count=24)
    found = evaluate(model, held_out, replace(training, held_out=held_out), infer, count=24)
    assert found.held_out == found.drawn == 14
    assert "10 of 24 held-out images are also training images: left out" in found.notes


def test_each_set_is_described_once_and_numbers_say_what_was_looked_at(monkeypatch):
    described = []

    def features(images):
        described.append(len(images))
        return images.flatten(1).double()

    monkeypatch.setattr(evaluation, "features", features)
    training, held_out = image_set(40), image_set(30, seed=1)
    found = evaluate(generator_learner(40).model, held_out, training, infer, count=24)
    assert sorted(described) == [24, 24, 24, 24, 40]
    assert (found.held_out, found.drawn, found.training) == (24, 24, 40)
    assert set(found.copies) == {"pixels", "features"} and not found.notes
    assert found.samples["training images"].kid.value < found.samples["model"].kid.value


def test_a_feature_that_is_the_same_everywhere_decides_no_distance():
    first, second = (torch.randn(200, 6, generator=make_rng(k)).double() for k in (1, 2))
    same = compare(first, second).energy
    first[:, 5], second[:, 5] = 0, 0
    flat = compare(first, second).energy
    first[0, 5] = 0.01
    found = compare(first, second).energy
    assert 0 < same < 0.05 and 0 < found < 0.05 and found == pytest.approx(flat, abs=1e-4)
    assert compare(10 * first, 10 * second).energy == pytest.approx(found)
    assert compare(first + 1, second).energy > 10 * found


def test_a_model_that_draws_no_numbers_is_refused():
    model = generator_learner(5).model
    with torch.no_grad():
        model.network.first.bias.fill_(torch.nan)
    with pytest.raises(TigonError, match="not finite"):
        evaluate(model, image_set(4, seed=1), image_set(5), infer)
