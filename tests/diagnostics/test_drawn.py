"""The distance of drawn images to held-out ones."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tigon.data.held_out import hold_out
from tigon.data.images import ImageSet
from tigon.data.pixels import to_float
from tigon.diagnostics import drawn
from tigon.diagnostics.distances import kid
from tigon.diagnostics.drawn import drawn_distance
from tigon.diagnostics.features import features
from tigon.diagnostics.two_samples import energy_distance
from tigon.errors import TigonError


class Draws:
    """Draws given images."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def sample(self, count: int, rng) -> Tensor:
        assert rng.index.tolist() == list(range(count))
        return self.images[:count]


def smooth(count, seed=0):
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (count, 1, 1, 3)) + rng.integers(-9, 9, (count, 12, 12, 3))
    pixels = colours.clip(0, 255).astype(np.uint8)
    return ImageSet(pixels, [f"{k}.png" for k in range(count)], [])


def held_out(count=200, share=0.2):
    return hold_out(smooth(count), share)


def test_it_is_kid_lite0_to_the_held_out_images_beside_that_of_training_images():
    images = held_out()
    distance = drawn_distance(images)
    assert distance.name == "KID-lite0" and distance.count == 40
    real = features(to_float(images.held_out.pixels))
    own = to_float(smooth(40, 1).pixels)
    assert distance.of(Draws(own)) == pytest.approx(kid(features(own), real))
    assert abs(distance.training) < distance.of(Draws(torch.zeros(40, 3, 12, 12)))


def test_without_the_extra_it_is_the_energy_distance_of_pixels(monkeypatch):
    def missing(images):
        raise TigonError("features need EfficientNet-Lite0")

    monkeypatch.setattr(drawn, "features", missing)
    images = held_out()
    distance = drawn_distance(images)
    real, grey = to_float(images.held_out.pixels).flatten(1), torch.zeros(40, 3, 12, 12)
    assert distance.name == "energy distance"
    expected = energy_distance(grey.flatten(1)[None], real).item()
    assert distance.of(Draws(grey)) == pytest.approx(expected)


@pytest.mark.parametrize("images", [smooth(60), hold_out(smooth(60), 0.2)])
def test_too_few_held_out_images_are_not_compared(images):
    assert drawn_distance(images) is None
