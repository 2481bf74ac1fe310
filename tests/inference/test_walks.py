"""tigon.interpolate, latent_arithmetic and latent_grid: images on the ways between images."""

import pytest
import torch

from small import descriptor_learner, generator_learner, image_set
from tigon.errors import TigonError
from tigon.inference.interpolation import arc, interpolate, latent_arithmetic, latent_grid, line
from tigon.models.cold_start import ColdStart
from tigon.random.streams import RowRng, make_rng

QUICK = ColdStart(starts=2, temperatures=2, steps=3, climb=3)


@pytest.fixture(scope="module")
def model():
    return generator_learner(3).model.eval()


def images_of(model, count):
    return model.decode(torch.randn(count, 2, generator=make_rng("images")))


def test_ways_go_from_reconstructions_to_reconstructions(model):
    images = images_of(model, 4)
    walk = interpolate(model, images[:2], images[2:], make_rng(0), 5, how=QUICK)
    found = model.infer(images, make_rng(0), QUICK)
    assert walk.images.shape == (2, 5, 3, 8, 8) and walk.latents.shape == (2, 5, 2)
    assert torch.equal(walk.latents[:, 0], found.latents[:2])
    assert torch.equal(walk.latents[:, -1], found.latents[2:])
    torch.testing.assert_close(walk.images[:, [0, -1]].transpose(0, 1).flatten(0, 1), found.images)
    assert torch.equal(walk.errors["start"], found.errors[:2])
    assert torch.equal(walk.errors["end"], found.errors[2:])


@pytest.mark.parametrize(("along", "way"), [("line", line), ("arc", arc)])
def test_latents_on_the_way_are_those_of_a_line_or_an_arc(model, along, way):
    start, end = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    walk = interpolate(model, start, end, count=5, along=along)
    assert torch.equal(walk.latents[0], way(start[0], end[0], 5)) and walk.errors == {}
    assert torch.equal(walk.images[0], model.decode(walk.latents[0]))


def test_a_way_may_go_from_an_image_to_a_latent(model):
    image, end = images_of(model, 1), torch.tensor([[1.0, -1.0]])
    walk = interpolate(model, image, end, make_rng(0), how=QUICK)
    assert torch.equal(walk.latents[:, -1], end) and list(walk.errors) == ["start"]
    assert torch.equal(walk.latents[:, 0], model.infer(image, make_rng(0), QUICK).latents)


def test_arithmetic_adds_the_difference_of_the_means_to_every_start(model):
    start = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    minus, plus = torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0]])
    walk = latent_arithmetic(model, start, minus, plus, count=3)
    assert walk.latents[:, -1].tolist() == [[6.0, -1.0], [5.0, -2.0]]
    assert walk.latents[:, 1].tolist() == [[3.5, 0.0], [2.5, -1.0]]
    assert torch.equal(walk.latents[:, 0], start)


def test_streams_of_many_images_are_those_of_each(model):
    """However many are inferred at once, an image's chains draw from its own streams."""
    images = images_of(model, 6)
    rng = RowRng(0, 0, range(12), "reconstruct")
    walk = latent_arithmetic(model, images[:1], images[1:3], images[3:], rng, how=QUICK)
    assert [len(errors) for errors in walk.errors.values()] == [1, 2, 3]
    last = model.infer(images[5:], RowRng(0, 0, range(10, 12), "reconstruct"), QUICK)
    torch.testing.assert_close(walk.errors["plus"][2:], last.errors)


def test_the_grid_is_that_of_the_plane_that_the_model_knows(model):
    grid = latent_grid(model, 3, reach=1.0)
    assert grid.latents[[0, 4, 8]].tolist() == [[-1, 1], [0, 0], [1, -1]]
    assert torch.equal(grid.images, model.decode(grid.latents))
    assert grid.plane.names == ("z1", "z2")


LATENT, IMAGES = torch.ones(1, 2), torch.zeros(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("start", "end", "options", "said"),
    [
        (LATENT, IMAGES, {}, "rng: latents of images are inferred by chains; give tigon.make_rng"),
        (
            IMAGES[0],
            LATENT,
            {},
            r"start of shape \(3, 8, 8\): give images \(B, 3, 8, 8\), or late",
        ),
        (LATENT, torch.ones(1, 3), {}, r"end of shape \(1, 3\): those of this model are \(B, 2\)"),
        (LATENT, IMAGES[:, :1], {}, r"end of shape \(1, 1, 8, 8\): those of this"),
        (LATENT, 200 * IMAGES.add(1), {}, "end of float32"),
        (LATENT, IMAGES.byte(), {}, "end of uint8"),
        (LATENT, LATENT / 0, {}, "end holds values that are not finite"),
        (LATENT[:0], LATENT[:0], {}, "start is empty"),
        (LATENT, LATENT.expand(2, -1), {}, "start has 1 rows and end 2: give equally many"),
        (LATENT, LATENT, {"count": 1}, "count must be at least 2"),
        (LATENT, LATENT, {"along": "spiral"}, "along must be one of line, arc, not 'spiral'"),
        ([[1.0, 1.0]], LATENT, {}, "start are a list"),
    ],
)
def test_what_is_no_way_is_refused(model, start, end, options, said):
    with pytest.raises(TigonError, match=said):
        interpolate(model, start, end, **options)


def test_an_arc_that_does_not_exist_is_no_line_instead(model):
    with pytest.raises(ValueError, match="opposite"):
        interpolate(model, LATENT, -LATENT, along="arc")


def test_a_model_without_latents_has_no_ways():
    model = descriptor_learner(image_set()).model
    with pytest.raises(TigonError, match="no latents"):
        interpolate(model, IMAGES, IMAGES, make_rng(0))
    with pytest.raises(TigonError, match="no latents"):
        latent_grid(model)


@pytest.mark.parametrize("options", [{"count": 1}, {"reach": 0.0}, {"reach": float("inf")}])
def test_a_grid_needs_two_images_and_some_reach(model, options):
    with pytest.raises(TigonError, match="count must be at least 2, and reach"):
        latent_grid(model, **options)
