"""Conformal percentiles of exchangeable images are uniform."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from exactness.linear_models import images_of, linear_model
from tigon.inference.score import percentiles, score
from tigon.models.cold_start import ColdStart
from tigon.random.streams import RowRng, make_rng

pytestmark = pytest.mark.exactness


def left_out(scores):
    """The percentile of each of n + 1 scores beside the n others."""
    n = len(scores)
    others = [torch.cat([scores[:k], scores[k + 1 :]]) for k in range(n)]
    return torch.cat([percentiles(scores[k : k + 1], others[k]) for k in range(n)])


@pytest.mark.parametrize("count", [21, 60])
def test_each_of_distinct_scores_has_a_percentile_of_its_own(count):
    """Of n + 1 exchangeable images, each is as likely to be the new one."""
    scores = torch.randperm(count, generator=make_rng(0)).double()
    found = left_out(scores).sort().values
    assert torch.allclose(found, 100 * torch.arange(count).double() / count)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=21, max_size=60), st.floats(0.01, 0.99))
def test_no_more_exceed_a_percentile_than_it_says_whatever_the_ties(scores, c):
    found = left_out(torch.tensor(scores).double())
    assert (found >= 100 * (1 - c) - 1e-9).double().mean() <= c + 1e-9


def test_percentiles_of_a_models_own_images_are_uniform():
    """Images of a linear generator, scored as any are: latents are inferred."""
    model, rng = linear_model(make_rng(0)), make_rng(1)
    count, how = 400, ColdStart(1, temperatures=1, steps=10)
    y = images_of(model, torch.randn(2 * count, 2, generator=rng, dtype=torch.float64), rng)
    found = score(model, y, RowRng(0, 0, range(2 * count)), how)
    for values in found.scores.values():
        above = percentiles(values[:count], values[count:]) / 100
        assert kstest(above.numpy(), "uniform").pvalue > 1e-3
    unlike = images_of(model, 4 * torch.ones(20, 2, dtype=torch.float64), rng)
    scores = score(model, unlike, RowRng(0, 1, range(20)), how).scores["minus_log_prior"]
    assert (percentiles(scores, found.scores["minus_log_prior"]) > 99).all()
