import numpy as np
import pytest
import torch
from PIL import Image

from tigon.data.pixels import to_uint8
from tigon.inference.physics import Blur, Downsample, Grey, Mask


def test_a_mask_keeps_what_is_one(rng):
    x = torch.rand(2, 3, 4, 6, generator=rng)
    kept = torch.zeros(4, 6)
    kept[1, 2:] = 1
    seen = Mask(kept)(x)
    assert torch.equal(seen[..., 1, 2:], x[..., 1, 2:])
    assert (seen != 0).sum() == 2 * 3 * 4
    of_each = torch.stack([torch.ones(1, 4, 6), torch.zeros(1, 4, 6)])
    assert torch.equal(Mask(of_each)(x), torch.stack([x[0], torch.zeros_like(x[1])]))


def test_squares_are_averaged(rng):
    x = torch.rand(2, 1, 4, 6, generator=rng)
    assert Downsample(2)(x)[1, 0, 1, 2] == pytest.approx(x[1, 0, 2:, 4:].mean().item())


def test_a_blur_keeps_what_is_even_and_spreads_a_point_by_its_width():
    assert torch.allclose(Blur(1.5)(torch.full((1, 3, 8, 8), 0.3)), torch.tensor(0.3))
    point = torch.zeros(1, 1, 41, 31)
    point[0, 0, 20, 15] = 1
    seen, place = Blur(2.0)(point)[0, 0], torch.arange(41.0) - 20
    assert seen.sum() == pytest.approx(1, abs=1e-5)
    assert (seen.sum(1) * place**2).sum() == pytest.approx(4, rel=0.05)


def test_grey_is_what_pillow_makes_of_colours(rng):
    x = torch.rand(1, 3, 8, 8, generator=rng) * 2 - 1
    wanted = Image.fromarray(to_uint8(x)[0]).convert("L")
    found = to_uint8(Grey()(x))[0, ..., 0]
    assert np.abs(found.astype(int) - np.asarray(wanted, int)).max() <= 1


@pytest.mark.parametrize(
    ("physics", "shape", "said"),
    [
        (Mask(torch.ones(4, 5)), (1, 3, 4, 6), "the mask is 4x5, but images are 4x6"),
        (Downsample(3), (1, 3, 4, 6), "images of 4x6 cannot be averaged 3 by 3"),
        (Grey(), (1, 1, 4, 6), "grey is made of 3 channels, but images have 1"),
    ],
)
def test_images_that_do_not_fit_are_refused(physics, shape, said):
    with pytest.raises(ValueError, match=said):
        physics(torch.zeros(shape))


@pytest.mark.parametrize("make", [lambda: Downsample(1), lambda: Blur(0.0)])
def test_numbers_without_a_meaning_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()
