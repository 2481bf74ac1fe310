"""Scores of models whose posterior or density is known, percentiles, and the detector."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from exactness.linear_models import images_of, linear_model, posterior
from tigon.data.datasets import as_data
from tigon.data.pixels import enlarged
from tigon.errors import TigonError
from tigon.inference.score import Detector, percentiles, score, score_all, scoring, threshold
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart
from tigon.models.energy import EnergyModel
from tigon.random.streams import RowRng, make_rng


class Slope(nn.Module):
    """f(x) = a sum of x."""

    def __init__(self, a: float = 0.0) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, x):
        return self.a * x.flatten(1).sum(1)


def by_grids() -> EnergyModel:
    """Densities of grids of 2 and 4 pixels, both Gaussian."""
    starts = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    coarse = EnergyModel(Slope(2.0), scale=0.5, starts=starts, image_size=2)
    return EnergyModel(Slope(), scale=0.7, image_size=4, coarser=coarse)


def some(count=5, size=4, rng=None):
    drawn = torch.randn(count, 1, size, size, generator=rng or make_rng(3), dtype=torch.float64)
    return 0.3 * drawn


def test_watched_scores_are_those_of_score(rng):
    model, how = linear_model(rng), ColdStart(4, temperatures=2, steps=3, climb=4)
    y = images_of(model, torch.randn(3, 2, generator=rng, dtype=torch.float64), rng)
    for able in (model, by_grids()):
        images = y if able is model else some()
        rows = range(4 * len(images))
        seen = list(scoring(able, images, RowRng(0, 0, rows), how))
        wanted = score(able, images, RowRng(0, 0, rows), how)
        found = seen[-1].found
        assert [one.step for one in seen[:-1]] == list(
            range(how.length + 1 if able is model else 0)
        )
        assert all(torch.equal(found.scores[name], wanted.scores[name]) for name in wanted.scores)
        assert torch.equal(found.maps, wanted.maps) and len(found.scores) == len(wanted.scores)


def test_scores_of_a_linear_generator_are_those_of_its_posterior_mode(rng):
    model = linear_model(rng)
    y = images_of(model, torch.randn(6, 2, generator=rng, dtype=torch.float64), rng)
    found = score(model, y, RowRng(0, 0, range(24)), ColdStart(4, climb=300))
    z, _ = posterior(model, y)
    with torch.no_grad():
        residual = (y - model(z)).square()
    prior = z.square().sum(1) / 2
    likelihood = residual.flatten(1).sum(1) / (2 * model.sigma**2)
    assert list(found.scores) == ["minus_log_joint", "reconstruction_error", "minus_log_prior"]
    assert torch.allclose(found.scores["minus_log_joint"], likelihood + prior, atol=1e-4)
    error = found.scores["reconstruction_error"]
    assert torch.allclose(error, residual.flatten(1).mean(1), atol=1e-2)
    assert torch.allclose(found.scores["minus_log_prior"], prior, atol=5e-2)
    assert found.maps.shape == (6, 2, 3) and torch.allclose(found.maps.mean((1, 2)), error)


def test_scores_of_a_density_are_its_value_and_gradient_on_every_grid():
    model, x = by_grids(), some()
    found = score(model, x, make_rng(0))
    names = [f"{n}{end}" for end in ("_2", "") for n in ("minus_log_density", "gradient_norm")]
    assert list(found.scores) == names and found.main == "minus_log_density_2"
    assert torch.allclose(found.scores["gradient_norm"], x.flatten(1).norm(dim=1) / 0.7**2)
    assert torch.allclose(found.scores["minus_log_density"], -model.log_density(x))
    blocks = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    coarse = (2 - blocks / 0.5**2).abs()
    assert torch.allclose(found.scores["gradient_norm_2"], coarse.flatten(1).norm(dim=1))
    assert torch.allclose(found.maps, enlarged(coarse, (4, 4))[:, 0])
    one = EnergyModel(Slope(), scale=0.7, starts=torch.zeros(1, 1, 1, 1), image_size=4)
    assert torch.allclose(score(one, x, make_rng(0)).maps, x[:, 0].abs() / 0.7**2)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("kind", ["latents", "density"])
def test_the_scores_of_an_image_depend_on_it_alone(rng, kind):
    model = linear_model(rng) if kind == "latents" else by_grids()
    x = torch.randn(40, *model.image_shape, generator=rng, dtype=torch.float64).clamp(-1, 1)
    whole = score_all(model, as_data(x), ColdStart(2))
    other = x.clone()
    other[:7], other[8:] = other[:7].flip(0), 0.5
    again = score_all(model, as_data(other), ColdStart(2))
    for name, values in whole.scores.items():
        assert torch.isclose(values[7], again.scores[name][7], rtol=1e-9)
    assert torch.allclose(whole.maps[7], again.maps[7])


class Mute(Model):
    """A model that only draws."""

    def sample(self, count, rng):
        return torch.zeros(count, 1, 4, 4)

    image_shape = 1, 4, 4

    def config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls()


def test_what_cannot_be_scored_is_said_in_one_line():
    with pytest.raises(TigonError, match="needs a model with latents or a log-density"):
        score(Mute(), some(), make_rng(0))
    broken = EnergyModel(Slope(float("nan")), starts=torch.zeros(1, 1, 1, 1), image_size=4)
    with pytest.raises(TigonError, match="minus_log_density is not finite"):
        score(broken, some(), make_rng(0))
    with pytest.raises(
        TigonError, match="no score 'loss': this model gives minus_log_density_2, gradient_norm_2"
    ):
        Detector(by_grids(), by="loss")


@pytest.mark.parametrize("kind", ["latents", "density"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[..., :1], r"images of shape \(5, .*\): those of this model are \(B, "),
        (lambda x: x[:0], "score: there are no images"),
        (lambda x: x * torch.nan, "images: hold values that are not finite"),
        (lambda x: x.numpy(), "images are a ndarray: give a tensor"),
        (lambda x: (127.5 * x + 127.5).clamp(0, 255), "convert x by x / 127.5 - 1"),
    ],
)
def test_images_that_are_none_are_at_fault_and_not_the_model(rng, kind, change, said):
    model = linear_model(rng) if kind == "latents" else by_grids()
    images = change(torch.randn(5, *model.image_shape, generator=rng, dtype=torch.float64))
    for judge in (score, lambda *given: list(scoring(*given))):
        with pytest.raises(TigonError, match=said) as caught:
            judge(model, images, make_rng(0))
        assert "\n" not in str(caught.value)


def test_percentiles_count_ties_as_if_they_were_below():
    calibration = torch.tensor([1.0, 2, 2, 2, 3] * 4)  # 4 ones, 12 twos, 4 threes
    found = percentiles(torch.tensor([0.5, 1, 2, 2.5, 3, 9]), calibration)
    assert found.tolist() == pytest.approx([100 * k / 21 for k in (0, 0, 4, 16, 16, 20)])
    with pytest.raises(TigonError, match="need 20 or more images .* there are 19"):
        percentiles(torch.zeros(2), calibration[:19])


@given(
    st.lists(st.integers(-4, 4), min_size=20, max_size=60),
    st.integers(-5, 5),
    st.floats(0.05, 0.5),
)
def test_a_label_says_that_the_percentile_is_high(calibration, one, contamination):
    ordered, s = torch.tensor(calibration).double(), torch.tensor([one]).double()
    above = s.item() > threshold(ordered, contamination)
    percentile = percentiles(s, ordered).item()
    if abs(percentile - 100 * (1 - contamination)) > 1e-6:
        assert above == (percentile > 100 * (1 - contamination))
    assert percentiles(s**3, ordered**3).item() == percentile


@pytest.mark.parametrize(
    ("count", "contamination", "said"),
    [
        (30, 0.0, "contamination 0: must be above 0 and at most 0.5"),
        (30, 0.6, "contamination 0.6: must be above 0"),
        (30, float("nan"), "contamination nan: must be above 0"),
        (30, 0.01, "give 99 or more, or a higher contamination"),
        (12, 0.1, "percentiles need 20 or more images"),
    ],
)
def test_thresholds_that_no_calibration_gives_are_refused(count, contamination, said):
    with pytest.raises(TigonError, match=said):
        threshold(torch.arange(count), contamination)
    with pytest.raises(TigonError, match=said):
        Detector(by_grids(), contamination).fit(some(count))


def test_the_detector_keeps_the_conventions_of_pyod(rng):
    detector = Detector(by_grids(), contamination=0.1, by="gradient_norm")
    with pytest.raises(TigonError, match=r"call fit\(images\) first"):
        detector.predict(some())
    assert detector.fit(some(99, rng=rng)) is detector
    scores, threshold = detector.decision_scores_, detector.threshold_
    assert scores.shape == (99,) and np.sort(scores)[89] == threshold
    assert (detector.labels_ == (scores > threshold)).all() and detector.labels_.sum() == 9
    new = torch.cat([some(3), some(3).sign()])
    decided = detector.decision_function(new)
    assert (detector.predict(new) == (decided > threshold)).all()
    assert detector.predict(new)[3:].all() and (detector.percentiles(new)[3:] == 99).all()


def test_the_detector_takes_latents_and_repeats_itself(rng):
    model = linear_model(rng)
    y = images_of(model, torch.randn(25, 2, generator=rng, dtype=torch.float64), rng).clamp(-1, 1)
    found = [Detector(model, seed=1, how=ColdStart(2)).fit(y).decision_scores_ for _ in range(2)]
    assert np.array_equal(*found) and np.isfinite(found[0]).all()
