"""The energy distance: against its definition, without bias, and 0 between equal sets."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tigon.data.batches import Batch
from tigon.learners.agreement import energy_distance


def two_sets(count, size=5):
    numbers = torch.Generator().manual_seed(3)
    observed = torch.randn(count, 3, size, size, generator=numbers)
    shown = 0.6 * observed + 0.3 * torch.randn(count, 3, size, size, generator=numbers) + 0.2
    return shown, observed


def of_sets(shown, observed):
    """By definition, over all pairs of two whole sets."""

    def mean(a, b):
        pairs = [(x - y).double().norm() for x in a for y in b]
        return sum(pairs) / len(pairs)

    total = 2 * mean(shown, observed) - mean(shown, shown) - mean(observed, observed)
    return float(total / shown[0].numel() ** 0.5)


def estimate(shown, observed, rows, among):
    rows = torch.tensor(rows)
    batch = Batch(observed[rows], rows, total=len(rows), among=among)
    return energy_distance(shown[rows], observed[rows], batch).item()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_over_a_whole_set_it_is_the_definition(count):
    shown, observed = two_sets(count)
    found = estimate(shown, observed, range(count), count)
    assert found == pytest.approx(of_sets(shown, observed), rel=1e-5)
    assert found > 0


def test_batches_estimate_it_without_bias():
    shown, observed = two_sets(6)
    found = [estimate(shown, observed, rows, 6) for rows in combinations(range(6), 2)]
    assert np.mean(found) == pytest.approx(of_sets(shown, observed), rel=1e-5)


def test_it_is_0_between_equal_sets_in_any_order_and_tells_images_that_are_almost_alike():
    _, observed = two_sets(6, size=40)
    batch = Batch(observed, torch.arange(6))
    for shown in (observed, observed.flip(0)):
        assert abs(energy_distance(shown, observed, batch).item()) < 1e-6
    near = energy_distance(observed + 1e-3, observed, batch).item()
    assert near == pytest.approx(of_sets(observed + 1e-3, observed), rel=1e-2)
