"""A generator and the descriptor that revises its images, as one model."""

import copy

import pytest
import torch

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
