"""AUROC and AUPRC with ties, by class, and baselines, beside other libraries' answers."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.metrics import average_precision_score, roc_auc_score

from small import image_set
from tigon.diagnostics.outliers import GAUSSIAN, NEAREST, PCA, Baselines, auprc, auroc, by_class

SCORES = np.array([1.0, 2, 2, 3, 3, 3, 4])
UNUSUAL = np.array([0, 0, 1, 0, 1, 1, 1], bool)


def test_ties_count_by_half():
    """Pairs (unusual, other): of 2 with 1, 2, 3: 1 + .5; of each 3: 1 + 1 + .5; of 4: 3."""
    assert auroc(SCORES, UNUSUAL) == pytest.approx((1.5 + 2.5 + 2.5 + 3) / 12)


def test_average_precision_goes_from_one_distinct_score_to_the_next():
    """At 4: recall 1/4, precision 1; at 3: 3/4 and 3/4; at 2: 1 and 4/6."""
    assert auprc(SCORES, UNUSUAL) == pytest.approx(1 / 4 + 2 / 4 * 3 / 4 + 1 / 4 * 4 / 6)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=50))
def test_areas_are_those_of_scikit_learn(rows):
    scores, unusual = (np.array(column) for column in zip(*rows, strict=True))
    if unusual.all() or not unusual.any():
        with pytest.raises(ValueError, match="both unusual images and others"):
            auroc(scores, unusual)
        return
    assert auroc(scores, unusual) == pytest.approx(roc_auc_score(unusual, scores))
    assert auprc(scores, unusual) == pytest.approx(average_precision_score(unusual, scores))


def test_each_class_is_held_against_the_good_images():
    classes = ["good", "good", "bent", "good", "cut", "cut", "bent"]
    found = by_class(SCORES, classes)
    assert found == {
        "all": auroc(SCORES, UNUSUAL),
        "bent": pytest.approx((1.5 + 3) / 6),
        "cut": pytest.approx((2.5 + 2.5) / 6),
    }


def test_the_gaussian_is_that_of_probabilistic_pca():
    images = image_set(40)
    flat = images.read().flatten(1).double()
    found = Baselines.of(images, 3)
    z = found.scores(images.read())
    directions, deviations = found.components.directions.double(), found.components.deviations
    left = (z[PCA].double() * flat.shape[1]).mean() / (flat.shape[1] - 3)
    variances = torch.diag(deviations.double() ** 2 - left)
    covariance = directions.T @ variances @ directions + left * torch.eye(flat.shape[1])
    exact = multivariate_normal(flat.mean(0).numpy(), covariance.numpy()).logpdf(flat.numpy())
    difference = z[GAUSSIAN].numpy() + exact
    assert np.ptp(difference) < 1e-3 * np.ptp(exact)
    assert found.residuals(images.read()).shape == (40, 8, 8)


def test_the_nearest_training_image_is_at_distance_0_of_itself(monkeypatch):
    found = Baselines.of(image_set(4), 2)
    both = torch.cat([image_set(4).read(), image_set(4, seed=1).read()])
    near = found.scores(both)[NEAREST]
    assert near[:4].max() < 1e-4 < near[4:].min()
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    from tigon.diagnostics.features import network

    network.cache_clear()
    without = Baselines.of(image_set(4), 2)
    assert NEAREST not in without.scores(both) and "features" in without.notes[0]
