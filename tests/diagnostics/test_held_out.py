"""A model that is worse than a linear one is bad, and its diagnosis says so with both numbers."""

import numpy as np
import torch

from small import generator_learner
from tigon.data.images import ImageSet
from tigon.diagnostics.distances import Estimate
from tigon.diagnostics.evaluation import Drawn, Evaluation, Reconstructed
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


def test_held_out_images_judge_reconstructions_and_drawn_images():
    levels = [finding.level for finding in of_evaluation(evaluation(0.03, 5.0))]
    assert levels == [Level.BAD, Level.BAD]
    found = of_evaluation(evaluation(0.01, 2.1))
    assert [finding.level for finding in found] == [Level.GOOD, Level.GOOD]
    assert "0.01 (mean" in found[0].what and "64 principal components 0.02" in found[0].what


def likelihoods(own, drawn_width, linear):
    """The likelihoods of a model of 64 x 64 images, and of probabilistic PCA."""
    rows = {
        HELD_OUT: Likelihood(16, own, own + 1, 9.0, 0.3, 12288),
        DRAWN: Likelihood(8, own, own + drawn_width, 9.0, 0.3, 12288),
        OWN: Likelihood(16, 9999.0, 9999.0, 9.0, 0.1, 12288),
        SAME: Likelihood(16, linear, linear, 9.0, 0.3, 12288),
    }
    return Likelihoods(8, 25, 0.8, rows)


def test_a_likelihood_is_judged_beside_a_linear_model_of_the_same_noise():
    bracket, found = of_likelihood(likelihoods(-2700.0, 0.5, -2800.0))
    assert (bracket.level, found.level) == (Level.GOOD, Level.GOOD)
    assert "-2700.0 nats" in found.what and "sigma 0.3 -2800.0" in found.what
    assert "1 nats of held-out images and 0.5 nats of images it drew" in bracket.what
    bracket, found = of_likelihood(likelihoods(-2700.0, 60.0, -2650.0))
    assert (bracket.level, found.level) == (Level.NOTE, Level.NOTE)
    assert "it is wide" in bracket.what and "neither is ahead" in found.what
    _, found = of_likelihood(likelihoods(-2700.0, 0.5, -2650.0))
    assert found.level is Level.BAD and "worse than a linear one" in found.what
    assert of_likelihood(None) == []


def test_a_bracket_is_wide_beyond_half_a_digit_of_bits_per_dimension():
    """Of 64 x 64 colour images that is .005 bits of 12288 values, 42.6 nats."""
    found = likelihoods(0.0, 1.0, 0.0)
    assert abs(found.most - 0.005 * 12288 * np.log(2)) < 1e-9
    few = found.rows[HELD_OUT]._replace(dimensions=64)
    assert Likelihoods(8, 25, 0.8, {HELD_OUT: few}).most == 1
