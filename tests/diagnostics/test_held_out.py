"""A model that is worse than a linear one is bad, and its diagnosis says so with both numbers."""

import numpy as np
import torch

from small import generator_learner
from tigon.data.images import ImageSet
from tigon.diagnostics.distances import Estimate
from tigon.diagnostics.evaluation import Drawn, Evaluation, Reconstructed
from tigon.diagnostics.examine import linear_findings
from tigon.diagnostics.quality import reconstructions
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.rules.held_out import of_evaluation


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
