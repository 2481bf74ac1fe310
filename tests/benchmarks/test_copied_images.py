"""What draws training images as they are, and the test that convicts it."""

import torch

from copies import Copies
from small import image_set
from tigon.diagnostics.copies import copies_test
from tigon.random.streams import make_rng


def test_it_draws_training_images_and_is_convicted():
    images, held_out = image_set(120), image_set(60, seed=1)
    drawn = Copies(images, 0).sample(60, make_rng(0))
    known = images.read().flatten(1)
    nearest = torch.cdist(drawn.flatten(1), known, compute_mode="donot_use_mm_for_euclid_dist")
    assert (nearest.amin(1) == 0).all() and len(nearest.argmin(1).unique()) > 30
    assert Copies(images, 0).image_shape == tuple(images.read(slice(0, 1)).shape[1:])
    found = copies_test(drawn.flatten(1), held_out.read().flatten(1), known)
    assert found.copied
    real = copies_test(image_set(60, seed=2).read().flatten(1), held_out.read().flatten(1), known)
    assert not real.copied
