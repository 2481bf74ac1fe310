"""Distances between sets: closed forms, and what precision and recall are."""

import pytest
import torch

from tigon.diagnostics.distances import frechet, kid, kid_of_subsets, precision_and_recall
from tigon.random.streams import make_rng


def normal(count, seed, dim=3):
    return torch.randn(count, dim, generator=make_rng(seed), dtype=torch.float64)


def test_the_frechet_distance_is_that_of_the_gaussians():
    x, y = normal(500, 0), 2 * normal(400, 1) + 1
    a, b = torch.cov(x.T), torch.cov(y.T)
    values, vectors = torch.linalg.eigh(a)
    root = vectors @ values.sqrt().diag() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b @ root).sqrt().sum()
    expected = (x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
    assert frechet(x, y) == pytest.approx(expected.item(), rel=1e-9)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_fewer_images_than_features():
    x = normal(10, 0, 40)
    assert frechet(x, x + 1) == pytest.approx(40, rel=1e-9)


def test_kid_is_unbiased_and_its_error_covers_zero_for_one_distribution():
    found = [kid(normal(60, 2 * seed), normal(60, 2 * seed + 1)) for seed in range(200)]
    mean, deviation = torch.tensor(found).mean(), torch.tensor(found).std()
    assert abs(mean) < 4 * deviation / 200**0.5
    some = kid_of_subsets(normal(60, 0), normal(60, 1), make_rng(0))
    assert some.value == found[0] and 0.3 < some.error / deviation < 3


@pytest.mark.parametrize("counts", [(80, 80), (60, 240)])
def test_the_error_of_kid_is_its_deviation_over_sets(counts):
    found = [
        kid_of_subsets(normal(counts[0], k), 0.5 + normal(counts[1], -1 - k), make_rng(k))
        for k in range(300)
    ]
    deviation = torch.tensor([one.value for one in found]).std().item()
    assert torch.tensor([one.error for one in found]).mean() == pytest.approx(deviation, rel=0.15)


def test_the_error_of_kid_of_too_few_images_is_not_known():
    few = kid_of_subsets(normal(3, 0), normal(9, 1), make_rng(0))
    assert few.error == float("inf") and few.text(2) == f"{few.value:.2f}"
    some = kid_of_subsets(normal(4, 0), normal(9, 1), make_rng(0))
    assert 0 < some.error < 100 and some.text(1) == f"{some.value:.1f} ± {some.error:.1f}"


def test_a_share_of_large_sets_is_enough_for_the_error():
    """Halves and smaller subsets agree."""
    x, y = normal(2400, 0), 0.5 + normal(2400, 1)
    whole = kid_of_subsets(x, y, make_rng(0), subsets=100)
    halves = kid_of_subsets(x[:1200], y[:1200], make_rng(0), subsets=100)
    assert whole.error * 2**0.5 == pytest.approx(halves.error, rel=0.3)


def test_precision_and_recall_tell_a_mode_that_is_missing_from_one_that_is_invented():
    real = torch.cat([normal(100, 0), normal(100, 1) + 50])
    one = normal(200, 2)
    precision, recall = precision_and_recall(one, real)
    assert precision > 0.8 and 0.3 < recall <= 0.5
    precision, recall = precision_and_recall(torch.cat([one, normal(200, 3) - 50]), real[:100])
    assert precision <= 0.5 and recall > 0.8
