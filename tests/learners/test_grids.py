"""A descriptor by grids: each grid learns as a descriptor of its own, from where another ended."""

import math

import pytest
import torch

from small import descriptor_recipe, image_set, parameters
from tigon.data.batches import Batch
from tigon.data.pixels import enlarged, reduced
from tigon.learners.base import contrastive_loss
from tigon.learners.descriptor import DescriptorLearner
from tigon.models.energy import EnergyModel
from tigon.random.streams import RowRng
from tigon.training.average import AveragedWeights

SIZE = 32  # grids of 8, 16 and 32 pixels


def learner_of(images, **options):
    return descriptor_recipe(image_size=SIZE, **options).learner(images)


def batch_of(images):
    rows = torch.arange(len(images))
    return Batch(images.read(rows), rows)


def test_chains_go_on_from_the_enlarged_image_of_the_coarser_grid():
    images = image_set(size=SIZE)
    learner, index = learner_of(images), torch.arange(5)
    coarse, middle, fine = learner.model.grids
    rng = RowRng(3, 0, index)
    points = images.read(index).mean((2, 3), keepdim=True).expand(-1, -1, 8, 8)
    seen = []
    for grid, size in ((coarse, 8), (middle, 16), (fine, 32)):
        points = grid.run_chains(enlarged(points, (size, size)), rng).x
        seen.append(points)
    found = learner.model.on_grids(index, RowRng(3, 0, index))
    assert [tuple(each.shape) for each in found] == [(5, 3, s, s) for s in (8, 16, 32)]
    for one, other in zip(seen, found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    ends = learner.sample_chain(index, RowRng(3, 0, index)).x
    assert torch.equal(ends, found[-1])
    assert torch.equal(learner.run_chains(batch_of(images), RowRng(3, 0, index)), ends)


def test_each_grid_has_its_own_equation_6_and_no_gradient_passes_between_them():
    images = image_set(size=SIZE)
    learner, batch = learner_of(images), batch_of(images)
    samples = learner.run_chains(batch, RowRng(0, 0, batch.index))
    loss, metrics = learner(batch, samples)
    loss.backward()
    shown = learner.model.on_grids(batch.index, RowRng(0, 0, batch.index))
    gaps = []
    for grid, synthesised in zip(learner.model.grids, shown, strict=True):
        network, size = grid.network, synthesised.shape[2:]
        observed = network(reduced(batch.images, size))
        alone = contrastive_loss(observed, network(synthesised), batch)
        wanted = torch.autograd.grad(alone, list(network.parameters()))
        for parameter, gradient in zip(network.parameters(), wanted, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
        gaps.append(alone.item() / synthesised[0].numel())
    logged = [metrics[name].item() for name in ("gap_8", "gap_16", "gap")]
    assert logged == pytest.approx(gaps, abs=1e-6)
    assert {"saturation_8", "spread_16", "energy_distance_8", "rise_16"} <= metrics.keys()


def test_other_rows_move_no_chain_on_any_grid():
    learner = learner_of(image_set(size=SIZE))
    whole = learner.model.on_grids(torch.arange(5), RowRng(0, 0, range(5)))
    part = learner.model.on_grids(torch.tensor([3]), RowRng(0, 0, [3]))
    for one, all_of_them in zip(part, whole, strict=True):
        torch.testing.assert_close(one[0], all_of_them[3], atol=1e-5, rtol=0)


def test_passes_count_by_the_pixels_of_their_grid():
    learner = learner_of(image_set(size=SIZE))
    once = learner.chains.gradient_evaluations + 2
    assert learner.evaluations_per_example == once * (1 + 1 / 4 + 1 / 16)


def test_without_chains_the_coarser_grids_have_nothing_to_learn_from():
    images = image_set(size=SIZE)
    batch = batch_of(images)
    with pytest.raises(ValueError, match="call run_chains first"):
        learner_of(images)(batch, batch.images)


def test_the_sampler_of_each_grid_ends_there():
    learner = learner_of(image_set(size=SIZE))
    index = torch.arange(2)
    for part, images in zip(
        learner.of_grids(), learner.model.on_grids(index, RowRng(0, 0, index)), strict=True
    ):
        assert torch.equal(part.synthesise(index, RowRng(0, 0, index)), images)


def test_a_saved_model_draws_the_same_images_with_reduced_steps_too(tmp_path):
    learner = learner_of(image_set(size=SIZE))
    learner.scale_steps(0.5)
    learner.model.save_pretrained(tmp_path / "model")
    again = EnergyModel.from_pretrained(tmp_path / "model")
    sizes = [grid.step_size for grid in again.grids]
    assert sizes == pytest.approx([grid.step_size for grid in learner.model.grids])
    drawn = [model.sample(6, RowRng(0, 0, range(6))) for model in (learner.model, again)]
    assert torch.equal(*drawn)
    assert again.start_count == 5 and again.image_shape == (3, SIZE, SIZE)


def test_start_images_and_step_sizes_are_averaged_on_no_grid():
    learner = learner_of(image_set(size=SIZE))
    average = AveragedWeights(learner, 0.5)
    average.update()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 1
    learner.model.grids[0].starts += 1
    learner.scale_steps(0.5)
    average.update()
    with average.applied():
        assert torch.equal(
            learner.model.grids[0].starts, average.weights["model.coarser.coarser.starts"]
        )
        assert [grid.step_factor.item() for grid in learner.model.grids] == [0.5] * 3
    kept = average.weights
    assert torch.equal(kept["model.coarser.coarser.starts"], learner.model.grids[0].starts)
    name = "model.coarser.network.last.bias"
    assert torch.equal(kept[name], learner.state_dict()[name] - 1 + 2 / 3)


def test_the_mean_image_is_averaged_to_the_first_grid():
    images = image_set(size=SIZE)
    recipe = descriptor_recipe(image_size=SIZE)
    from dataclasses import replace

    chains = replace(recipe.chains, start="mean-image")
    learner = replace(recipe, chains=chains).learner(images)
    wanted = reduced(images.mean_image()[None], (8, 8))
    assert torch.equal(learner.model.grids[0].start(torch.tensor([4])), wanted)


@pytest.mark.parametrize("sizes", [(8, 8), (8, 16), (2, 4)])
def test_averages_of_an_enlarged_pixel_and_of_blocks_keep_the_mean(sizes):
    small = torch.rand(2, 3, *sizes)
    whole = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(reduced(whole, sizes), small)
    assert torch.equal(enlarged(small, whole.shape[2:], "nearest"), whole)
    pixel = small.mean((2, 3), keepdim=True)
    assert torch.equal(enlarged(pixel, sizes), pixel.expand_as(small))


def test_quadratic_energies_on_two_grids_are_sampled_as_their_gaussians():
    """With f(x) = c . x, each grid's density is N(scale^2 c, scale^2 I), wherever chains start."""
    from tigon.mcmc.chain import MCMC
    from tigon.mcmc.langevin import MALA

    class Linear(torch.nn.Module):
        def __init__(self, slope):
            super().__init__()
            self.slope = torch.nn.Parameter(torch.tensor(slope))

        def forward(self, x):
            return self.slope * x.flatten(1).sum(1)

    chains, scale = MCMC(MALA(0.4), 120), 0.5
    coarse = EnergyModel(Linear(2.0), scale, 0.0, chains, torch.zeros(1, 1, 1, 1), 1)
    fine = EnergyModel(Linear(-1.0), scale, 0.0, chains, image_size=2, coarser=coarse)
    count = 6000
    for images, slope in zip(
        fine.on_grids(torch.arange(count), RowRng(0, 0, range(count))), (2.0, -1.0), strict=True
    ):
        x = images.flatten(1)
        error = scale / count**0.5
        assert (x.mean(0) - slope * scale**2).abs().max() < 4 * error
        covariance = torch.cov(x.T).reshape(x.shape[1], -1)
        away = covariance - scale**2 * torch.eye(x.shape[1])
        assert away.abs().max() < 4 * scale**2 * math.sqrt(2 / count)


def test_learning_moves_every_grid():
    images = image_set(size=16)
    trainer = descriptor_recipe(image_size=16).trainer(images)
    before = [parameters(grid.network) for grid in trainer.learner.model.grids]
    trainer.fit()
    after = [parameters(grid.network) for grid in trainer.learner.model.grids]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert isinstance(trainer.learner, DescriptorLearner)
