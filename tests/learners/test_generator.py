"""Alternating back-propagation: the gradient of (3), independence of chains, rows."""

import pytest
import torch

from small import count_passes, generator_learner, image_set, parameters
from tigon.data.batches import Batch
from tigon.learners.noise import Annealing, LearnedNoise
from tigon.mcmc.adaptation import DualAveraging
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.mcmc.store import ChainStore
from tigon.random.streams import RowRng
from tigon.recipes.settings import LatentChains


def batch_of(images, rows=None):
    index = torch.arange(len(images)) if rows is None else torch.tensor(rows)
    return Batch(images.read(index), index)


def test_the_gradient_is_that_of_equation_3():
    """Finite differences of sum_i ||Y_i - f(Z_i)||^2 / (2 sigma^2), over n."""
    images, learner = image_set(3), generator_learner(3).double()
    batch = Batch(images.read().double(), torch.arange(3))
    z = learner.store.points.double()
    learner.run_chains(batch._replace(images=batch.images), RowRng(0, 0, range(3)))
    learner.store.replace(lambda _: z)
    loss, _ = learner(batch, z)
    loss.backward()
    layer = learner.model.network.rest[-2]

    def equation_3():
        with torch.no_grad():
            squares = ((batch.images - learner.model.network(z)) ** 2).flatten(1).sum(1)
        return sum(squares[i] / (2 * 0.3**2) for i in range(3)) / 3

    for place in [(0, 0, 0, 0), (2, 1, 3, 2)]:
        values = []
        for shift in (1e-6, -1e-6):
            with torch.no_grad():
                layer.weight[place] += shift
                values.append(equation_3())
                layer.weight[place] -= shift
        expected = (values[0] - values[1]) / 2e-6
        assert torch.allclose(layer.weight.grad[place], expected, rtol=1e-5)


@pytest.mark.parametrize("norm", ["none", "group", "batch"])
def test_changing_one_image_moves_no_other_chain(norm):
    images, other = image_set(4), image_set(4)
    other.pixels[2:] = 255 - other.pixels[2:]
    moved = []
    for data in (images, other):
        learner = generator_learner(4, norm=norm, chains=MCMC(Langevin(0.05), 3))
        before = learner.store.points.clone()
        moved.append(learner.run_chains(batch_of(data), RowRng(0, 0, range(4))))
        assert (moved[-1] != before).all()
    assert torch.equal(moved[0][:2], moved[1][:2])
    assert (moved[0][2:] != moved[1][2:]).any(1).all()


def test_the_original_algorithm_does_couple_its_chains():
    """What the default avoids: shared batch statistics let one image move all chains."""
    moved = []
    for data in (image_set(4), image_set(4)):
        data.pixels[3] = len(moved) * 200
        learner = generator_learner(
            4, norm="batch", chains=MCMC(Langevin(0.3), 2), average_likelihood=True
        )
        moved.append(learner.run_chains(batch_of(data), RowRng(0, 0, range(4))))
    assert not torch.allclose(moved[0][:3], moved[1][:3])


def test_the_original_algorithm_gives_each_latent_one_nth_of_the_likelihood():
    learner = generator_learner(4, chains=MCMC(Langevin(0.1), 1), average_likelihood=True)
    batch = batch_of(image_set(4))
    z = learner.store.points.clone()
    noise_free = MCMC(Langevin(0.1, temperature=0.0), 1)
    learner.chains = noise_free
    moved = learner.run_chains(batch, RowRng(0, 0, range(4)))
    z = z.requires_grad_()
    likelihood = learner.model.log_likelihood(batch.images, z).sum()
    (gradient,) = torch.autograd.grad(likelihood, z)
    assert torch.allclose(moved, z + 0.1**2 / 2 * (gradient / 4 - z), atol=1e-6)


def test_chains_go_back_to_the_rows_they_came_from():
    images, learner = image_set(5), generator_learner(5, expand=False)
    before = learner.store.points.clone()
    moved = learner.run_chains(batch_of(images, [3, 1]), RowRng(0, 0, [3, 1]))
    assert torch.equal(learner.store.points[[3, 1]], moved)
    assert torch.equal(learner.store.points[[0, 2, 4]], before[[0, 2, 4]])


def test_running_chains_leaves_parameters_and_their_gradients_alone():
    learner = generator_learner(3, norm="batch")
    before, buffers = parameters(learner), [b.clone() for b in learner.buffers()]
    learner.run_chains(batch_of(image_set(3)), RowRng(0, 0, range(3)))
    assert torch.equal(parameters(learner), before)
    assert all(p.grad is None and p.requires_grad for p in learner.parameters())
    assert all(torch.equal(a, b) for a, b in zip(buffers, learner.buffers(), strict=True))


def test_gradient_evaluations_count_every_pass():
    learner = generator_learner(4)
    batch, passed = batch_of(image_set(4)), count_passes(learner.model.network)
    samples = learner.run_chains(batch, RowRng(0, 0, range(4)))
    learner(batch, samples)
    assert learner.gradient_evaluations == sum(passed) == 4 * 3


def test_the_reconstruction_error_is_the_mean_over_images_and_pixels_whatever_sigma_is():
    learner = generator_learner(3)
    learner.model.sigma.fill_(0.05)
    batch = batch_of(image_set(3))
    z = learner.run_chains(batch, RowRng(0, 0, range(3)))
    _, metrics = learner(batch, z)
    expected = ((batch.images - learner.model(z)) ** 2).mean()
    assert torch.allclose(metrics["reconstruction_error"], expected)


def test_sigma_falls_geometrically_to_the_models_own():
    learner = generator_learner(3, annealing=Annealing(start=1.2, until=0.5))
    seen = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        learner.begin(progress)
        seen.append(learner.chain_sigma)
        assert learner.model.sigma == 0.3
    assert seen == pytest.approx([1.2, 0.6, 0.3, 0.3])


def test_annealing_that_has_ended_is_over_in_a_longer_run_and_after_a_restart():
    first = generator_learner(3, annealing=Annealing(start=1.2, until=0.5))
    first.begin(0.2)
    assert first.chain_sigma > 0.3
    first.begin(0.5)
    again = generator_learner(3, annealing=Annealing(start=1.2, until=0.5))
    early = again.chain_tensors()
    again.load_chains(first.chain_tensors())
    for learner in (first, again):
        learner.begin(0.1)
        assert learner.chain_sigma == pytest.approx(0.3)
    again.load_chains(early)  # as a guard rolls back
    again.begin(0.0)
    assert again.chain_sigma == pytest.approx(1.2)


def test_annealed_chains_come_to_a_sigma_that_is_learned():
    learner = generator_learner(3, annealing=Annealing(1.2, 0.5), noise=LearnedNoise())
    batch, optimizer = batch_of(image_set(3)), torch.optim.Adam(learner.parameters())
    learner.begin(0.0)
    _, metrics = learner(batch, learner.run_chains(batch, RowRng(0, 0, range(3))))
    learner.after_update(optimizer)
    own = learner.model.sigma.item()
    residual = metrics["reconstruction_error"].item() ** 0.5
    assert metrics["sigma"] == 1.2 and own == pytest.approx(residual)
    learner.begin(0.25)
    assert learner.chain_sigma == pytest.approx((1.2 * own) ** 0.5)


def test_a_learned_sigma_is_loaded_with_the_weights_and_a_given_one_stays():
    learned = generator_learner(3, noise=LearnedNoise())
    learned.model.sigma.fill_(0.05)
    for noise, sigma in [(LearnedNoise(), 0.05), (None, 0.3)]:
        learner = generator_learner(3, noise=noise)
        learner.load_state_dict(learned.state_dict())
        assert learner.model.sigma.item() == pytest.approx(sigma)


def test_sigma_is_not_learned_where_the_likelihood_is_averaged():
    with pytest.raises(ValueError, match="sigma cannot be learned"):
        generator_learner(3, noise=LearnedNoise(), average_likelihood=True)


def test_samples_do_not_depend_on_how_many_are_drawn():
    learner = generator_learner(3, norm="batch")
    some = learner.sample(3, RowRng(0, 0, range(3)))
    more = learner.sample(70, RowRng(0, 0, range(70)))
    assert torch.allclose(some, more[:3], atol=1e-6)
    assert learner.model.training


def test_expansion_without_a_first_layer_is_refused():
    learner = generator_learner(3)
    learner.model.network.first = torch.nn.Identity()
    with pytest.raises(ValueError, match="first"):
        type(learner)(learner.model, 3, expand=True)


def test_learning_brings_reconstructions_close_and_latents_near_the_priors_moments():
    images = image_set(6)
    learner = generator_learner(6, expand=True)
    optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
    batch, losses = batch_of(images), []
    for iteration in range(150):
        samples = learner.run_chains(batch, RowRng(0, iteration, range(6)))
        loss, metrics = learner(batch, samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.after_update(optimizer)
        losses.append(metrics["reconstruction_error"].item())
    assert losses[-1] < 0.5 * losses[0]
    assert learner.store.points.mean(0).abs().max() < 0.5
    assert (learner.store.points.std(0, correction=0) - 1).abs().max() < 0.5


@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_the_acceptance_of_all_chains_comes_to_its_target(kernel):
    images, target = image_set(6), 0.65
    chains = LatentChains(steps=5, target_accept=target, kernel=kernel)
    learner = generator_learner(6, chains=chains.build())
    passed = count_passes(learner.model.network)
    batch, accepts = batch_of(images), []
    for iteration in range(80):
        samples = learner.run_chains(batch, RowRng(0, iteration, range(6)))
        _, metrics = learner(batch, samples)
        accepts.append(metrics["accept"].item())
    assert sum(accepts[40:]) / 40 == pytest.approx(target, abs=0.07)
    assert learner.gradient_evaluations == sum(passed)
    assert learner.adapted == 80


def test_an_adaptation_that_chains_do_not_share_is_refused():
    chains = MCMC(MALA(0.1), 1, DualAveraging())
    with pytest.raises(ValueError, match="StepSizeAdaptation, or not at all"):
        generator_learner(6, chains=chains)


def test_a_network_is_not_expanded_unasked():
    learner = generator_learner(3)
    before = learner.model.network.first.weight.clone()
    learner.store.replace(lambda points: 3 * points + 1)
    learner.measure_latents()
    learner.after_update(torch.optim.Adam(learner.parameters()))
    assert torch.equal(learner.model.network.first.weight, before)


def test_a_learners_chains_can_be_kept_in_files(tmp_path):
    images = image_set(5)
    kept = generator_learner(5, expand=True)
    points = kept.store.points.clone()
    mapped = ChainStore.mapped(tmp_path / "chains", 5, (2,))
    mapped.replace(lambda _: points)
    filed = generator_learner(5, expand=True)
    filed.store = mapped
    for learner in (kept, filed):
        optimizer = torch.optim.Adam(learner.parameters())
        learner.run_chains(batch_of(images, [3, 0, 4]), RowRng(0, 0, [3, 0, 4]))
        learner.after_update(optimizer)
    assert torch.equal(kept.store.points, filed.store.points)
    again = ChainStore.mapped(tmp_path / "chains")
    assert torch.equal(again.points, kept.store.points)


def test_latents_are_measured_each_time_a_tenth_of_them_has_moved(monkeypatch):
    learner = generator_learner(80)
    measured, original = [], type(learner).measure_latents
    monkeypatch.setattr(
        type(learner), "measure_latents", lambda self: (measured.append(now), original(self))
    )
    images, optimizer = image_set(80), torch.optim.Adam(learner.parameters(), lr=1e-3)
    for now in range(8):
        rows = list(range(3 * now, 3 * now + 3))
        batch = batch_of(images, rows)
        learner.forward(batch, learner.run_chains(batch, RowRng(0, now, rows)))
        learner.after_update(optimizer)
    assert measured == [0, 3, 6]  # 8 of 80 or more have moved
