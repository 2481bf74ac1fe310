"""Copies are convicted, and what is no copy is not: new draws, blurred images, far ones."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from tigon.diagnostics import copies
from tigon.diagnostics.copies import close_ones, copies_test, mann_whitney
from tigon.random.streams import make_rng

DIM = 12


def draws(count, seed):
    """Two clusters in a space of twelve dimensions."""
    rng = make_rng(seed)
    side = torch.randint(0, 2, (count, 1), generator=rng) * 8.0
    return torch.randn(count, DIM, generator=rng) + side


@pytest.fixture
def training():
    return draws(400, 0)


def test_the_training_set_itself_is_convicted(training):
    found = copies_test(training[:150], draws(150, 1), training)
    assert found.copied and found.statistic < -8 and found.relative < -8
    assert torch.equal(found.neighbours.rows, torch.arange(150)) and found.nearer == 1


def test_copies_with_a_little_noise_in_one_cluster_alone_are_convicted(training):
    low = training[training[:, 0] < 4][:80]
    noisy = low + 0.2 * torch.randn(low.shape, generator=make_rng(5))
    new = draws(200, 6)
    found = copies_test(torch.cat([noisy, new[new[:, 0] > 4][:80]]), draws(150, 1), training)
    assert found.copied


def test_new_draws_are_not_convicted_in_twenty_of_twenty_seeds(training):
    held_out = draws(150, 1)
    found = [copies_test(draws(150, seed), held_out, training) for seed in range(2, 22)]
    assert not any(test.copied for test in found)
    assert abs(np.mean([test.statistic for test in found])) < 1.5


@pytest.mark.parametrize("seed", range(5))
def test_a_tenth_of_copies_among_new_draws_is_convicted(training, seed):
    drawn = draws(150, 100 + seed)
    drawn[::10] = training[:15] + 0.05 * torch.randn(15, DIM, generator=make_rng(seed))
    found = copies_test(drawn, draws(150, 1), training)
    assert found.copied and found.some_copied and found.close >= 15
    assert found.relative > -3, "the middle of the distances does not show it"


def test_few_close_images_are_as_probable_as_counting_says():
    """Of all orders of 5 drawn and 6 real ones, as simulation finds."""
    numbers = np.random.default_rng(0)
    for rank, share in ((1, 0.01), (3, 0.5)):
        counts = []
        for _ in range(20_000):
            order = numbers.permutation(11)
            counts.append((order[:5] < np.sort(order[5:])[rank - 1]).sum())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copies, "CLOSE", share)
            for k in range(6):
                real = torch.arange(6.0)
                drawn = torch.tensor([-1.0] * k + [9.0] * (5 - k))
                close, chance = close_ones(drawn, real)
                assert close == k
                assert chance == pytest.approx(np.mean(np.array(counts) >= k), abs=0.012)


def test_blurred_images_lie_near_everything_and_are_no_copies(training):
    blurred = draws(150, 2)
    middle = 8.0 * (blurred[:, :1] > 4)
    found = copies_test(middle + 0.3 * (blurred - middle), draws(150, 1), training)
    assert found.statistic < -3 and found.relative > -3 and not found.copied


def test_images_as_near_as_training_images_are_to_each_other_are_no_copies():
    def groups(rng, count):  # of pictures of one thing each
        return 3 * torch.randn(count, 1, DIM, generator=rng).expand(-1, 5, -1)

    rng = make_rng(7)
    seen, others = groups(rng, 80), groups(rng, 30)
    training, held_out, drawn = (
        (things + 0.5 * torch.randn(things.shape, generator=rng)).flatten(0, 1)
        for things in (seen, others, seen)
    )
    found = copies_test(drawn[:150], held_out, training)
    assert found.statistic < -8 and found.relative > -3 and not found.copied
    assert copies_test(training[:150] + 0.01, held_out, training).copied


def test_images_unlike_all_others_are_far_above_zero(training):
    assert copies_test(draws(150, 2) + 3, draws(150, 1), training).statistic > 5


def test_mann_whitney_is_scipys_with_ties():
    numbers = np.random.default_rng(0)
    first, second = numbers.integers(0, 9, 40) * 1.0, numbers.integers(2, 12, 50) * 1.0
    p = mannwhitneyu(first, second, use_continuity=False, method="asymptotic").pvalue
    from scipy.stats import norm

    assert 2 * norm.cdf(-abs(mann_whitney(first, second))) == pytest.approx(p)
    assert mann_whitney(first, second) < 0 and mann_whitney(np.ones(4), np.ones(5)) == 0


def test_too_few_images_are_refused(training):
    with pytest.raises(ValueError, match="20"):
        copies_test(training[:19], draws(150, 1), training)


def reflected(points):
    """Points and after them their mirrored copies: nearly symmetric, which changes little."""
    return torch.cat([points, points * torch.tensor([-1.0] + [1.0] * (DIM - 1))])


def symmetric(count, seed):
    """Points whose first coordinate, which mirroring turns, is small."""
    points = draws(count, seed)
    points[:, 0] = 0.1 * torch.randn(count, generator=make_rng(seed, "turned"))
    return points


@pytest.mark.parametrize("copied", [True, False])
def test_mirrored_copies_do_not_hide_copies_of_training_images(copied):
    training = symmetric(300, 0)
    drawn = training[:150] + 0.3 * torch.randn(150, DIM, generator=make_rng(7))
    drawn = drawn if copied else symmetric(150, 2)
    of = torch.arange(600) % 300
    found = copies_test(drawn, symmetric(150, 1), reflected(training), 0, of)
    assert found.copied == copied
    plain = copies_test(drawn, symmetric(150, 1), training)
    assert found.relative == pytest.approx(plain.relative, abs=2.5)


def test_duplicates_do_not_hide_some_copies(training):
    drawn = draws(150, 100)
    drawn[::10] = training[:15] + 0.05 * torch.randn(15, DIM, generator=make_rng(0))
    twice = torch.cat([training, training[100:140]])
    assert copies_test(drawn, draws(150, 1), twice).some_copied
    assert not copies_test(draws(150, 2), draws(150, 1), twice).copied
