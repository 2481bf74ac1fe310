"""A texture's images have any size that its grids divide, and tile."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tigon.data.pixels import enlarged
from tigon.models.abilities import HasSizes
from tigon.models.energy import short_run
from tigon.models.texture import TextureModel
from tigon.nn.stationary import StationaryDescriptor
from tigon.random.streams import RowRng, make_rng
from tigon.sizes import image_size


def texture(temperature=0.001, **options) -> TextureModel:
    """An untrained texture of 32 x 32 pixels, with grids of 8, 16 and 32, in double precision."""
    model = None
    for size in (8, 16, 32):
        network = StationaryDescriptor(3, 4, 2, make_rng(size))
        chains = short_run(5, 0.3, temperature)
        starts = torch.full((1, 3, 1, 1), 0.2) if model is None else None
        model = TextureModel(network, 0.7, chains, starts, size, model, **options)
    return model.double()


def climbed(model, start):
    """Where chains without noise end that start at a given image of the coarsest grid."""
    rng = RowRng(0, 0, range(len(start)))
    return model.run_grids(start, rng)[-1].x


@pytest.fixture
def start(rng):
    return torch.randn(2, 3, 8, 8, generator=rng, dtype=torch.float64)


def test_chains_on_all_grids_commute_with_cyclic_shifts(start):
    model = texture(temperature=0.0, noise=0.0, detail=0.0)
    ends = climbed(model, start)
    for shift in ((2, 0), (-2, 4)):
        moved = climbed(model, start.roll(shift, (2, 3)))
        torch.testing.assert_close(moved, ends.roll([4 * k for k in shift], (2, 3)))


def test_a_larger_image_is_what_the_same_chains_make_of_a_larger_start(start):
    model = texture(temperature=0.0, noise=0.0, detail=0.0)
    wide = model.at_size((64, 96), periodic=True)
    assert wide.image_shape == (3, 64, 96) and isinstance(wide, HasSizes)
    assert [grid.image_shape[1:] for grid in wide.grids] == [(16, 24), (32, 48), (64, 96)]
    tiles = climbed(wide, start.repeat(1, 1, 2, 3))
    torch.testing.assert_close(tiles, climbed(model, start).repeat(1, 1, 2, 3))


def test_enlarging_goes_on_across_the_border(start):
    model = texture().grids[1]
    tiled = enlarged(start.repeat(1, 1, 3, 3), (48, 48))
    assert torch.equal(model.enlarged(start), tiled[..., 16:32, 16:32])


def test_images_whose_borders_do_not_meet_are_cut_from_a_larger_one():
    model, rows = texture(), range(3, 5)
    drawn = model.sample_rows(rows, RowRng(1, 0, rows))
    large = model.at_size(48, periodic=True).sample_rows(rows, RowRng(1, 0, rows))
    assert torch.equal(drawn, large[..., :32, :32])
    whole = model.at_size(32, periodic=True)
    alone = whole.sample_rows(range(4, 5), RowRng(1, 0, [4]))
    torch.testing.assert_close(whole.sample(5, RowRng(1, 0, range(5)))[4:], alone)
    assert not torch.allclose(alone, drawn[1:])


def test_chains_start_with_noise_that_the_seed_decides():
    model = texture(noise=0.5, detail=0.1)
    coarse, _, fine = model.grids
    starts, rows = model.start(torch.arange(64)), range(64)
    begun = coarse.entered(coarse.start(torch.arange(64)), RowRng(1, 0, rows))
    assert begun.mean().item() == pytest.approx(0.2, abs=0.02)
    assert begun.std().item() == pytest.approx(0.5, rel=0.03)
    detail = fine.entered(starts, RowRng(1, 0, rows)) - starts
    assert detail.std().item() == pytest.approx(0.1, rel=0.03)
    one, other = (model.sample(1, RowRng(seed, 0, [0])) for seed in (0, 1))
    assert (one - other).abs().mean() > 0.05


@given(st.integers(-8, 300), st.integers(-8, 300))
def test_a_size_is_had_or_refused_with_one_that_can_be(height, width):
    model, size = texture(), image_size(height, width)
    try:
        assert model.at_size(size).image_shape == (3, height, width)
    except ValueError as error:
        said = str(error)
        assert "are multiples of 8 pixels from 32, such as " in said
        near = said.split("such as ")[1].split(",")[0].split("x")
        assert model.at_size(image_size(int(near[0]), int(near[-1])))
        assert height % 8 or width % 8 or min(height, width) < 32


def test_what_it_is_made_of_is_checked():
    with pytest.raises(ValueError, match="noise and detail must be at least 0, not -1 and 0.05"):
        TextureModel(StationaryDescriptor(), starts=torch.zeros(1, 3, 1, 1), noise=-1)
