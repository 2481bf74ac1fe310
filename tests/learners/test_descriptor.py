"""Learning a descriptor: the gradient of (6), start images, independence of chains."""

import pytest
import torch

from small import count_passes, descriptor_learner, image_set, parameters
from tigon.data.batches import Batch
from tigon.errors import TigonError
from tigon.learners.descriptor import (
    DescriptorLearner,
    start_images,
    starts_in_batches,
)
from tigon.models.energy import EnergyModel, short_run
from tigon.random.streams import RowRng


def batch_of(images):
    return Batch(images.read(), torch.arange(len(images)))


def test_the_gradient_is_that_of_equation_6():
    """Finite differences of mean f(synthesised) - mean f(observed)."""
    images = image_set(3)
    learner = descriptor_learner(images).double()
    batch = Batch(images.read().double(), torch.arange(3))
    synthesised = -batch.images.flip(0)
    loss, metrics = learner(batch, synthesised)
    loss.backward()
    network = learner.model.network

    def equation_6():
        with torch.no_grad():
            return network(synthesised).sum() / 3 - network(batch.images).sum() / 3

    assert torch.allclose(loss, equation_6())
    assert torch.allclose(metrics["gap"], equation_6() / (3 * 8 * 8))
    layer = network.features[0]
    for place in [(0, 0, 0, 0), (3, 2, 1, 3)]:
        values = []
        for shift in (1e-6, -1e-6):
            with torch.no_grad():
                layer.weight[place] += shift
                values.append(equation_6())
                layer.weight[place] -= shift
        expected = (values[0] - values[1]) / 2e-6
        assert torch.allclose(layer.weight.grad[place], expected, rtol=1e-5)


def test_one_step_of_descent_raises_observed_over_synthesised():
    images = image_set(3)
    learner = descriptor_learner(images)
    batch = batch_of(images)
    samples = learner.run_chains(batch, RowRng(0, 0, range(3)))
    loss, _ = learner(batch, samples)
    loss.backward()
    torch.optim.SGD(learner.parameters(), 1e-3).step()
    after, _ = learner(batch, samples)
    assert after < loss


def test_chains_start_from_each_images_mean_colour():
    images = image_set(4)
    starts = start_images(images, "mean-colour")
    assert starts.shape == (4, 3, 1, 1)
    expected = images.pixels[2].reshape(-1, 3).mean(0) / 127.5 - 1
    assert starts[2].flatten().tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_chains_start_from_the_mean_image():
    images = image_set(4)
    starts = start_images(images, "mean-image")
    assert starts.shape == (1, 3, 8, 8)
    expected = torch.from_numpy(images.pixels.mean(0) / 127.5 - 1).permute(2, 0, 1)
    assert torch.allclose(starts[0].double(), expected, atol=1e-5)
    drawn = descriptor_learner(images, "mean-image").sample(2, RowRng(0, 0, range(2)))
    assert not torch.equal(drawn[0], drawn[1])


def test_no_other_start_is_known():
    with pytest.raises(TigonError, match="mean-colour, mean-image, not 'noise'"):
        start_images(image_set(2), "noise")


@pytest.mark.parametrize("norm", ["none", "group", "batch"])
def test_changing_one_image_moves_no_other_chain(norm):
    images = image_set(4)
    learner = descriptor_learner(images, norm=norm)
    batch, rng = batch_of(images), RowRng(0, 0, range(4))
    before = learner.run_chains(batch, rng)
    learner.model.starts[2:] += 0.5
    after = learner.run_chains(batch, RowRng(0, 0, range(4)))
    assert torch.equal(before[:2], after[:2])
    assert not torch.equal(before[2:], after[2:])


def test_the_original_algorithm_does_couple_its_chains():
    images = image_set(4)
    learner = descriptor_learner(images, norm="batch", batch_statistics=True)
    before = learner.run_chains(batch_of(images), RowRng(0, 0, range(4)))
    learner.model.starts[3:] += 0.5
    after = learner.run_chains(batch_of(images), RowRng(0, 0, range(4)))
    assert not torch.equal(before[:3], after[:3])


def test_samples_are_one_chain_per_start_image_in_order_and_around():
    images = image_set(3)
    learner = descriptor_learner(images)
    drawn = learner.sample(7, RowRng(0, 0, range(7)), chunk=2)
    colours = drawn.mean((2, 3))
    nearest = torch.cdist(colours, learner.model.starts.flatten(1)).argmin(1)
    assert nearest.tolist() == [0, 1, 2, 0, 1, 2, 0]
    some = learner.sample(2, RowRng(0, 0, range(2)))
    assert torch.allclose(some, drawn[:2], atol=1e-6)
    assert not torch.equal(drawn[0], drawn[3])


def test_samples_are_not_clamped():
    images = image_set(2)
    learner = descriptor_learner(images, chains=short_run(3, 5.0, 1.0, noiseless_last_step=False))
    drawn = learner.sample(2, RowRng(0, 0, range(2)))
    assert drawn.abs().max() > 1.5


def test_chains_with_a_noiseless_last_step_end_without_noise():
    images = image_set(2)
    learner = descriptor_learner(images, chains=short_run(1, 0.05, 1.0, noiseless_last_step=True))
    one = learner.sample(2, RowRng(0, 0, range(2)))
    other = learner.sample(2, RowRng(1, 0, range(2)))
    assert torch.equal(one, other)


def test_the_last_step_has_the_step_size_asked_for():
    chains = short_run(4, 0.8, 0.0, shrink=0.125)
    draws = chains.run(
        lambda x: -(x**2).sum(1) / 2, torch.ones(1, 1), RowRng(0, 0, [0]), keep=True
    )
    factors = draws.trajectory[1:, 0, 0] / draws.trajectory[:-1, 0, 0]
    sizes = [0.4, 0.2, 0.1]
    assert torch.allclose(factors, torch.tensor([1 - s**2 / 2 for s in sizes]))
    assert short_run(4, 0.8, 0.0).adaptation is None


def test_running_chains_leaves_parameters_and_their_gradients_alone():
    images = image_set(3)
    learner = descriptor_learner(images, norm="batch")
    before, buffers = parameters(learner), [b.clone() for b in learner.buffers()]
    learner.run_chains(batch_of(images), RowRng(0, 0, range(3)))
    assert torch.equal(parameters(learner), before)
    assert all(p.grad is None and p.requires_grad for p in learner.parameters())
    assert all(torch.equal(a, b) for a, b in zip(buffers, learner.buffers(), strict=True))


def test_gradient_evaluations_count_every_pass():
    images = image_set(4)
    learner = descriptor_learner(images)
    batch, passed = batch_of(images), count_passes(learner.model.network.last)
    samples = learner.run_chains(batch, RowRng(0, 0, range(4)))
    learner(batch, samples)
    assert learner.gradient_evaluations == sum(passed) == 4 * (30 + 2)


@pytest.mark.slow
def test_compiled_chains_end_where_plain_ones_do_and_follow_the_parameters():
    images, ends = image_set(3), []
    for compiled in (False, True):
        learner = descriptor_learner(images, compiled=compiled, chains=short_run(12, 0.1, 0.01))
        batch = batch_of(images)
        for iteration in range(2):
            samples = learner.run_chains(batch, RowRng(0, iteration, range(3)))
            loss, _ = learner(batch, samples)
            loss.backward()
            torch.optim.SGD(learner.parameters(), 1e-2).step()
            learner.zero_grad()
        ends.append(samples)
    assert all(one.compiles for one in learner._compiled)
    assert torch.allclose(*ends, rtol=1e-3, atol=1e-5)


def test_compiled_chains_add_nothing_to_what_is_saved():
    names = [
        list(descriptor_learner(image_set(2), compiled=compiled).state_dict())
        for compiled in (False, True)
    ]
    assert names[0] == names[1]


def test_rise_is_how_far_the_log_density_climbed_in_nats_per_dimension():
    images = image_set(4)
    learner = descriptor_learner(images)
    batch = batch_of(images)
    samples = learner.run_chains(batch, RowRng(0, 0, range(4)))
    _, metrics = learner(batch, samples)
    climbed = learner.model(samples) - learner.model(learner.model.start(batch.index))
    assert torch.allclose(metrics["rise"], climbed.mean() / (3 * 8 * 8), rtol=1e-4)


def test_a_set_too_large_to_keep_its_starts_takes_them_from_each_batch(monkeypatch):
    """The same chains, from the same starts, as where all are kept."""
    images = image_set(30)
    order, kept = images.order(4, 0), descriptor_learner(images)
    for module in ("tigon.data.batches.MOST", "tigon.learners.descriptor.MOST"):
        monkeypatch.setattr(module, 6)
    starts = start_images(images, "mean-colour")
    assert starts.shape == (6, 3, 1, 1) and starts_in_batches(images, "mean-colour")
    assert not starts_in_batches(images, "mean-image")
    model = EnergyModel(kept.model.network, starts=starts, image_size=8)
    few = DescriptorLearner(model, in_batches=True)
    for iteration in range(8):
        batch = order.read(images, iteration, kept.model.starts)
        rng = [RowRng(0, iteration, batch.index) for _ in range(2)]
        first, second = (
            learner.run_chains(batch, r) for learner, r in zip((kept, few), rng, strict=True)
        )
        assert torch.allclose(first, second, atol=1e-5)
    assert torch.allclose(few.show(6), kept.show(6), atol=1e-5)
    assert torch.equal(few.state_dict()["model.starts"], kept.model.starts[:6])
