"""A generator and the descriptor that revises its images, as one model."""

import copy

import pytest
import torch
from torch.nn import functional

import tigon
from tigon.errors import TigonError
from tigon.models.abilities import HasChains, HasLatents
from tigon.models.energy import short_run


def descriptor(**options):
    network = tigon.ConvDescriptor(8, width=4, rng=tigon.make_rng(2))
    starts = torch.zeros(1, 3, 1, 1)
    values = {"chains": short_run(4, 0.2, 0.001), "starts": starts, "image_size": 8}
    return tigon.EnergyModel(network, **(values | options))


def model():
    network = tigon.DCGANGenerator(2, 8, width=4, rng=tigon.make_rng(1))
    return tigon.CooperativeModel(network, descriptor(), 2)


def test_images_are_those_of_the_generator_revised():
    made = model()
    drawn = made.sample(5, tigon.RowRng(3, 0, range(5)))
    streams = tigon.RowRng(3, 0, range(5))
    latents, proposed = made.propose(5, streams)
    assert torch.equal(proposed, made.decode(latents)) and latents.shape == (5, 2)
    assert torch.equal(drawn, made.descriptor.run_chains(proposed, streams).x)
    assert (drawn - proposed).abs().max() > 1e-3
    assert isinstance(made, HasLatents) and not isinstance(made, HasChains)


def test_on_a_coarser_grid_what_chains_moved_is_interpolated():
    network = tigon.DCGANGenerator(2, 16, width=4, rng=tigon.make_rng(1))
    made = tigon.CooperativeModel(network, descriptor(), 2)
    drawn = made.sample(5, tigon.RowRng(3, 0, range(5)))
    streams = tigon.RowRng(3, 0, range(5))
    _, proposed = made.propose(5, streams)
    coarse = functional.avg_pool2d(proposed, 2)
    moved = made.descriptor.run_chains(coarse, streams).x - coarse
    fine = functional.interpolate(moved, scale_factor=2, mode="bilinear")
    assert moved.abs().max() > 1e-3 and torch.allclose(drawn, proposed + fine, atol=1e-6)


def test_a_grid_that_does_not_divide_the_images_is_refused():
    made = tigon.CooperativeModel(tigon.DCGANGenerator(2, 12, width=4), descriptor(), 2)
    with pytest.raises(ValueError, match="8 does not divide images"):
        made.sample(2, tigon.make_rng(0))


def test_a_row_does_not_depend_on_the_others():
    made = model()
    whole = made.sample(7, tigon.RowRng(3, 0, range(7)), chunk=3)
    part = made.sample_rows(range(4, 6), tigon.RowRng(3, 0, range(4, 6)))
    assert torch.allclose(whole[4:6], part, atol=1e-5)


def test_it_is_saved_and_loaded_whole(tmp_path):
    made = model()
    made.descriptor.scale_steps(0.5)
    made.save_pretrained(tmp_path / "model")
    for again in (tigon.CooperativeModel.from_pretrained(tmp_path / "model"), copy.deepcopy(made)):
        assert again.descriptor.step_size == made.descriptor.step_size == pytest.approx(0.1)
        drawn = [m.sample(3, tigon.RowRng(0, 0, range(3))) for m in (made, again)]
        assert torch.allclose(*drawn, atol=1e-6)


def test_noise_is_refused():
    with pytest.raises(TigonError, match="revised by chains"):
        model().sample(2, tigon.make_rng(0), noise=True)


def test_a_descriptor_of_several_grids_is_refused():
    network = tigon.DCGANGenerator(2, 16, width=4)
    fine = tigon.EnergyModel(
        tigon.ConvDescriptor(16, width=4), image_size=16, coarser=descriptor()
    )
    with pytest.raises(ValueError, match="has one grid, not several"):
        tigon.CooperativeModel(network, fine, 2)
