"""The posterior of a linear generator is known for each image: chains must find each its own."""

import pytest
import torch
from linear_models import images_of, linear_model, whiten

from targets import assert_standard_normal, correlated_gaussian
from tigon.data.batches import Batch, BatchOrder
from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.mcmc.store import ChainStore
from tigon.random.streams import RowRng, make_rng

pytestmark = pytest.mark.exactness

KERNELS = {"MALA": (MALA(0.45), 60), "HMC": (HMC(0.25, 5), 12)}


def model_and_images(count):
    """Images far apart, so that their posteriors are: latents of three times the prior's width."""
    model = linear_model(make_rng(3))
    z = 3 * torch.randn(count, 2, generator=make_rng(4), dtype=torch.float64)
    return model, images_of(model, z, make_rng(5))


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_each_row_of_a_batch_has_its_own_posteriors_mean_and_covariance(kernel, streams):
    count = 1500 if streams else 20000
    model, images = model_and_images(count)
    rng = RowRng(0, 0, range(count)) if streams else make_rng(6)
    start = torch.zeros(count, 2, dtype=torch.float64)
    moves, steps = KERNELS[kernel]
    draws = MCMC(moves, steps).run(model.posterior(images), start, rng)
    assert_standard_normal(whiten(model, images, draws.x))


def learned_chains(chains, count, batch_size, epochs, every):
    """Trace of a learner's store, every so many epochs of shuffled batches, whitened."""
    model, images = model_and_images(count)
    learner = GeneratorLearner(model, count, chains, expand=False, rng=make_rng(7))
    order = BatchOrder(count, batch_size, 0)
    kept = []
    for iteration in range(epochs * order.batches):
        index = order.index(iteration)
        moved = learner.run_chains(Batch(images[index], index), RowRng(0, iteration, index))
        assert torch.equal(learner.store.points[index], moved)
        if (iteration + 1) % (every * order.batches) == 0:
            kept.append(whiten(model, images, learner.store.points))
    return torch.cat(kept[1:])


@pytest.mark.parametrize(
    ("chains", "every"),
    [(MCMC(HMC(0.25, 3), 2), 5), (MCMC(MALA(0.5), 3), 8)],
    ids=["HMC", "MALA"],
)
def test_a_learners_chains_stay_with_their_images_through_shuffled_batches(chains, every):
    """Batches of 13 of 180, the last of an epoch smaller, few steps each: a row read or written
    in another's place would not find its posterior again."""
    assert_standard_normal(learned_chains(chains, 180, 13, 5 * every, every))


def test_a_store_gives_and_takes_rows_in_the_order_that_was_asked():
    points = torch.arange(14, dtype=torch.float64).view(7, 2)
    store = ChainStore(points)
    index = torch.tensor([5, 0, 3])
    assert torch.equal(store.read(index), points[index])
    store.write(index, -points[index])
    sign = torch.tensor([-1, 1, 1, -1, 1, -1, 1])
    assert torch.equal(store.points, sign[:, None] * points)


@pytest.mark.parametrize("kernel", [MALA(0.1), HMC(0.1, 3)], ids=["MALA", "HMC"])
def test_a_run_in_pieces_through_the_store_is_the_unbroken_run(kernel):
    """No bit differs."""
    target = correlated_gaussian()
    x = target.sample(9, make_rng(0))
    store = ChainStore(x)
    index, rng = torch.tensor([7, 2, 5, 0]), make_rng(1)
    for _ in range(5):
        store.write(index, MCMC(kernel, 8).run(target, store.read(index), rng).x)
    whole = MCMC(kernel, 40).run(target, x[index], make_rng(1))
    assert torch.equal(store.points[index], whole.x)
    untouched = torch.tensor([1, 3, 4, 6, 8])
    assert torch.equal(store.points[untouched], x[untouched])
