"""A model that is worse than a linear one is bad, and its diagnosis says so with both numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from small import generator_learner
from tigon.data.images import ImageSet
from tigon.diagnostics import examine
from tigon.diagnostics.copies import CopiesTest, Neighbours
from tigon.diagnostics.distances import Estimate
from tigon.diagnostics.evaluation import Drawn, Evaluation, Reconstructed, _reconstructed
from tigon.diagnostics.examine import linear_findings
from tigon.diagnostics.likelihood import (
    DRAWN,
    HELD_OUT,
    OWN,
    SAME,
    Likelihood,
    Likelihoods,
)
from tigon.diagnostics.quality import reconstructions
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.rules.held_out import of_evaluation, of_likelihood
from tigon.inference.brackets import Ends


def gradients(count):
    """Pictures that two numbers describe, so that two components leave next to nothing."""
    numbers = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, 8)
    a, b = numbers.normal(size=(2, count, 1, 1, 1)) * 25
    pixels = 128 + a * ramp[None, :, None, None] + b * ramp[None, None, :, None]
    pixels = np.broadcast_to(pixels, (count, 8, 8, 3)).round().astype(np.uint8)
    return ImageSet(pixels, [str(k) for k in range(count)], [])


def test_a_generator_that_has_learned_nothing_is_worse_than_principal_components():
    images, learner = gradients(20), generator_learner(20)
    seen = images.batch(torch.arange(20))
    (found,) = linear_findings(learner, images, seen, reconstructions(learner, seen))
    assert found.level is Level.BAD and "worse than a linear one" in found.what
    assert "2 principal components 0." in found.what and found.remedy


def test_nothing_is_said_of_hardly_more_images_than_latents():
    images, learner = gradients(4), generator_learner(4)
    seen = images.batch(torch.arange(4))
    assert linear_findings(learner, images, seen, reconstructions(learner, seen)) == []


def evaluation(error, kid):
    drawn = [Drawn(Estimate(value, 0.1), 1.0, 0.5, 0.5, 1.0) for value in (kid, 2.0, 0.0)]
    names = ("model", "Gaussian on PCA scores", "training images")
    shown = {"model": Reconstructed(error, 20.0), "PCA": Reconstructed(0.02, 23.0)}
    return Evaluation(80, 64, 800, 80, 64, shown, dict(zip(names, drawn, strict=True)))


@pytest.mark.parametrize(
    ("kid", "level", "said"),
    [
        (1.7, Level.GOOD, "of training images 0"),
        (1.8, Level.NOTE, "less than twice their error, 0.28, so neither is ahead"),
        (2.2, Level.NOTE, "neither is ahead"),
        (2.3, Level.BAD, "a linear model draws images that are more like"),
    ],
)
def test_drawn_images_are_judged_by_how_sure_their_distance_is(kid, level, said):
    reconstructed, drawn = of_evaluation(evaluation(0.01, kid))
    assert reconstructed.level is Level.GOOD
    assert "0.01 (mean" in reconstructed.what
    assert "64 principal components 0.02" in reconstructed.what
    assert drawn.level is level and said in drawn.what


def test_reconstructions_worse_than_linear_ones_are_bad():
    assert of_evaluation(evaluation(0.03, 5.0))[0].level is Level.BAD


@pytest.mark.parametrize(("doubt", "level"), [(0.004, Level.BAD), (0.006, Level.NOTE)])
def test_reconstructions_are_judged_by_how_sure_their_difference_is(doubt, level):
    found = evaluation(0.03, 5.0)
    found.reconstructions["PCA"] = Reconstructed(0.02, 23.0, doubt)
    finding = of_evaluation(found)[0]
    assert finding.level is level
    if level is Level.NOTE:
        assert "differ by less than twice their difference's error, 0.012" in finding.what


def test_the_doubt_is_the_error_of_the_mean_difference_over_images(rng):
    y = torch.zeros(400, 1, 2, 2)
    scale = torch.rand(400, 1, 1, 1, generator=rng)
    images = {"model": 1 + 0 * y, "other": (1 + scale).sqrt() + 0 * y}
    found = _reconstructed(images, y)
    assert found["other"].error == pytest.approx(1 + scale.mean().item(), rel=1e-5)
    assert found["other"].doubt == pytest.approx(scale.std().item() / 20, rel=1e-5)
    assert found["model"].doubt == 0


def test_the_distance_of_few_draws_is_not_known():
    found = evaluation(0.01, 2.3)
    few = {k: v._replace(kid=v.kid._replace(error=float("inf"))) for k, v in found.samples.items()}
    drawn = of_evaluation(replace(found, samples=few))[1]
    assert drawn.level is Level.NOTE and "the error of so few images is not known" in drawn.what
    assert "inf" not in drawn.what


def test_draws_about_the_posteriors_mean_leave_more_where_less_was_observed(monkeypatch):
    images, learner, noise = gradients(20), generator_learner(20), []
    monkeypatch.setattr(
        examine, "of_linear", lambda own, linear, noise_, count: noise.append(noise_)
    )
    seen = images.batch(torch.arange(20))
    shown = reconstructions(learner, seen)
    linear_findings(learner, images, seen, shown)
    mask = torch.zeros(20, 1, 8, 8)
    mask[:, :, :2] = 1
    linear_findings(learner, images, seen._replace(mask=mask), shown)
    assert noise[1] == pytest.approx(4 * noise[0])


def test_draws_that_were_not_compared_are_a_note_that_says_why():
    found = replace(evaluation(0.01, 1.0), samples={}, notes=["it needs the extra `features`"])
    note = of_evaluation(found)[-1]
    assert note.level is Level.NOTE and "not compared" in note.what and "extra" in note.what


@pytest.mark.parametrize(
    ("numbers", "level", "said"),
    [
        ((-1.0, 0.5, 0.5, 3, 0.4), Level.GOOD, "no sign of copies: "),
        ((-9.0, -8.0, 0.9, 80, 1e-30), Level.BAD, "drawn images are copies of training images: "),
        ((-1.0, -9.0, 0.6, 17, 1e-5), Level.BAD, "some drawn images are copies of training"),
    ],
)
def test_copies_are_all_images_or_some_and_numbers_say_why(numbers, level, said):
    nearest = Neighbours(torch.arange(80), torch.ones(80), torch.ones(80))
    copies = {"pixels": CopiesTest(*numbers, 11, nearest)}
    found = of_evaluation(replace(evaluation(0.01, 1.0), copies=copies))[-1]
    assert found.level is level and found.what.startswith(said)
    assert f"C_T {numbers[0]:+.1f} and {numbers[1]:+.1f} by pixels" in found.what
    assert (
        f"{numbers[3]} of 80 drawn images by pixels (p = {numbers[4]:.2g}); 11 would" in found.what
    )


def ends(lower, width, apart=None, error=0.1):
    """A bracket whose ends as estimated are a given distance apart, in its middle."""
    apart = width if apart is None else apart
    low = lower + (width - apart) / 2
    return Ends(lower, lower + width, low, low + apart, error, error)


def likelihoods(own, drawn, linear, dimensions=12288):
    """The likelihoods of a model of 64 x 64 images, and of probabilistic PCA."""
    exact = Ends(linear, linear, linear, linear, 0.0, 0.0)
    rows = {
        HELD_OUT: Likelihood(16, ends(own, 1.0), 9.0, 0.3, dimensions, 7.9),
        DRAWN: Likelihood(8, drawn, 9.0, 0.3, dimensions, 7.9),
        OWN: Likelihood(16, Ends(*[9999.0] * 4, 0.0, 0.0), 9.0, 0.1, dimensions),
        SAME: Likelihood(16, exact, 9.0, 0.3, dimensions),
    }
    return Likelihoods(8, 25, 0.8, rows)


def test_a_likelihood_is_judged_beside_a_linear_model_of_the_same_noise():
    bracket, found = of_likelihood(likelihoods(-2700.0, ends(-2700.0, 0.5), -2800.0))
    assert (bracket.level, found.level) == (Level.GOOD, Level.GOOD)
    assert "at least -2700.0 nats" in found.what and "sigma 0.3 -2800.0" in found.what
    assert "99.9 % bracket" in bracket.what
    assert "1 nats for held-out images and 0.5 nats for images it drew wide" in bracket.what
    bracket, found = of_likelihood(likelihoods(-2700.0, ends(-2700.0, 60.0), -2650.0))
    assert (bracket.level, found.level) == (Level.NOTE, Level.NOTE)
    assert "it is wide" in bracket.what and "neither is ahead" in found.what
    _, found = of_likelihood(likelihoods(-2700.0, ends(-2700.0, 0.5), -2650.0))
    assert found.level is Level.BAD and "worse than a linear one" in found.what
    assert of_likelihood(None) == []


def test_a_wide_bracket_says_what_makes_it_narrower():
    """More temperatures bring ends together; what chance may have done takes more images."""
    bracket, _ = of_likelihood(likelihoods(0.0, ends(0.0, 60.0, apart=50.0), 0.0))
    assert "50 nats apart (7.9 of 8 chains count): give more --likelihood-temp" in bracket.what
    bracket, _ = of_likelihood(likelihoods(0.0, ends(0.0, 60.0, apart=0.1), 0.0))
    assert "59.9 nats of it are what chance may have done" in bracket.what
    assert bracket.what.endswith("give more --likelihood-images")


def test_ends_that_are_close_by_luck_are_not_near():
    """What chance may have done is part of the width, whatever the ends themselves are."""
    found = likelihoods(0.0, ends(0.0, 2.0, apart=0.0), 0.0, dimensions=192)
    assert found.most == 1 and found.to_plain()["wide"]
    assert found.to_plain()["crossed"] == []


def test_ends_that_cross_beyond_their_errors_are_not_near():
    """Once within the bracket, and once so far that even its ends cross."""
    found = likelihoods(0.0, ends(0.0, 10.0, apart=-5.0), 0.0)
    bracket, _ = of_likelihood(found)
    assert found.crossed == [DRAWN] and bracket.level is Level.NOTE
    assert "cross by 5 nats for images it drew (standard errors 0.1 and 0.1)" in bracket.what
    bracket, _ = of_likelihood(likelihoods(0.0, ends(0.0, -3.0, apart=-9.0, error=50.0), 0.0))
    assert bracket.level is Level.BAD and "more than their errors explain" in bracket.what
    assert "wrong" in bracket.what and "report it" in bracket.remedy
    few = likelihoods(0.0, ends(0.0, 10.0, apart=-5.0, error=1.0), 0.0)
    assert few.crossed == [] and of_likelihood(few)[0].level is Level.GOOD
    rounding = likelihoods(0.0, ends(0.0, 10.0, apart=-0.1, error=1e-6), 0.0)
    assert rounding.crossed == []


def test_the_ends_in_bits_per_dimension_are_those_in_nats():
    row = Likelihood(2, ends(-192 * np.log(2), 0.0, error=1.92 * np.log(2)), None, 0.3, 192)
    for values, more in ((row.bits(), 0.0), (row.bits(255), np.log2(127.5))):
        assert np.allclose(values, [1 + more] * 4 + [0.01] * 2)
    assert row.to_plain()["bits_per_dimension"]["below_error"] == row.bits().below_error


def test_a_bracket_is_wide_beyond_half_a_digit_of_bits_per_dimension():
    """Of 64 x 64 colour images that is .005 bits of 12288 values, 42.6 nats."""
    found = likelihoods(0.0, ends(0.0, 1.0), 0.0)
    assert abs(found.most - 0.005 * 12288 * np.log(2)) < 1e-9
    few = found.rows[HELD_OUT]._replace(dimensions=64)
    assert Likelihoods(8, 25, 0.8, {HELD_OUT: few}).most == 1
