"""A network that is a sum over positions: it knows neither where it is nor how large the image."""

import pytest
import torch

from tigon.densities.log_density import value_and_grad
from tigon.nn.stationary import StationaryDescriptor, seen
from tigon.random.streams import make_rng


@pytest.fixture
def images(rng):
    return torch.randn(3, 3, 16, 24, generator=rng, dtype=torch.float64)


def network(layers):
    return StationaryDescriptor(3, 4, layers, make_rng(1)).double()


@pytest.mark.parametrize("layers", [2, 3])
def test_cyclic_shifts_by_the_stride_leave_f_unchanged_and_shift_its_gradient(images, layers):
    f = network(layers)
    values, gradient = value_and_grad(f, images)
    for shift in ((2, 0), (0, 2), (-4, 10)):
        shifted, moved = value_and_grad(f, images.roll(shift, (2, 3)))
        torch.testing.assert_close(shifted, values)
        torch.testing.assert_close(moved, gradient.roll(shift, (2, 3)))
    assert not torch.allclose(f(images.roll(1, 3)), values)


@pytest.mark.parametrize("layers", [2, 3])
def test_the_score_of_a_pixel_does_not_depend_on_the_size_of_the_image(images, layers):
    f = network(layers)
    values, gradient = value_and_grad(f, images)
    whole, scores = value_and_grad(f, images.repeat(1, 1, 3, 2))
    torch.testing.assert_close(whole, 6 * values)
    torch.testing.assert_close(scores, gradient.repeat(1, 1, 3, 2))


@pytest.mark.parametrize("layers", [2, 3])
def test_inside_is_f_on_average_over_all_places_of_the_border(images, layers):
    f = network(layers)
    shifts = [(down, right) for down in range(0, 16, 2) for right in range(0, 24, 2)]
    inside = torch.stack([f.inside(images.roll(shift, (2, 3))) for shift in shifts])
    torch.testing.assert_close(inside.mean(0), f(images))
    assert inside.std(0).min() > 1e-3


@pytest.mark.parametrize("layers", [2, 3])
def test_a_position_sees_as_many_pixels_as_it_says(images, layers):
    f = network(layers)
    side = seen(layers)
    assert f.seen == side
    assert f.inside(images[..., :side, :side]).shape == (3,)
    with pytest.raises(RuntimeError):
        f.inside(images[..., : side - 1, : side - 1])


def test_a_row_depends_on_its_image_alone(images):
    f = network(2)
    assert torch.equal(f(images)[1:2], f(images[1:2])) and f(images[:0]).shape == (0,)
    with pytest.raises(ValueError, match="layers must be at least 2, not 1"):
        StationaryDescriptor(layers=1)
