"""What a model achieves on its images: known answers, and bands from both sides."""

import numpy as np
import pytest
import torch

from small import generator_learner, image_set
from tigon.data.batches import Batch
from tigon.diagnostics.quality import (
    Reconstructions,
    mean_image_distance,
    reconstructions,
)
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.rules.quality import (
    falls,
    of_agreement,
    of_course,
    of_reconstructions,
    of_sigma,
)


def whole(images):
    return Batch(images, torch.arange(len(images)), among=len(images))


def test_what_a_generator_decodes_is_explained_in_full_and_its_mean_explains_nothing():
    learner = generator_learner()
    shown = learner.decode(learner.latents())
    found = reconstructions(learner, whole(shown))
    assert found.explained == pytest.approx(1) and found.images == 5
    learner.store.replace(lambda points: 0 * points)
    centre = learner.decode(learner.latents())[:1]
    around = torch.cat([centre + 0.1, centre - 0.1])
    found = reconstructions(learner, whole(around))
    assert found.variance == pytest.approx(0.01, rel=1e-4)
    assert found.residual == pytest.approx(0.1, rel=1e-4)
    assert found.explained == pytest.approx(0, abs=1e-4)


def test_one_image_has_no_variance_to_explain():
    found = reconstructions(generator_learner(1), whole(image_set(1).read()))
    assert found.variance == 0 and of_reconstructions(found) is None
    assert found.residual > 0


def test_the_distance_of_the_mean_image_of_two_points_is_known():
    """|x - m| = 1/2 |x - x'|, and half of all pairs of two are a point with itself."""
    images = torch.stack([torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), -0.5)])
    assert mean_image_distance(whole(images)) == pytest.approx(2 * 0.5 - 0.5)
    assert mean_image_distance(whole(images[:1])) == 0


@pytest.mark.parametrize(
    ("error", "level"),
    [(0.002, Level.GOOD), (0.7, Level.NOTE), (0.95, Level.BAD), (6.0, Level.BAD)],
)
def test_reconstructions_are_judged_by_the_variance_that_they_explain(error, level):
    shows = of_reconstructions(Reconstructions(4, 0.2, torch.full((4,), error).double()))
    assert shows.finding.level is level
    assert bool(shows.finding.remedy) == (level is not Level.GOOD)
    part = {0.002: "99.8 %", 0.7: "30 %", 0.95: "5 %", 6.0: "none"}[error]
    assert shows.words == f"reconstructions explain {part} of the images' variance"


@pytest.mark.parametrize(
    ("residual", "level"),
    [
        (0.0, Level.NOTE),
        (0.14, Level.NOTE),
        (0.16, Level.GOOD),
        (0.59, Level.GOOD),
        (0.7, Level.NOTE),
    ],
)
def test_sigma_is_judged_by_the_residual_beside_it(residual, level):
    finding = of_sigma(0.3, residual, learned=False)
    assert finding.level is level and f" {residual:.3g} " in finding.what and "0.3" in finding.what
    assert ("--sigma learn" in finding.remedy) == (level is Level.NOTE)
    assert "--sigma learn" not in of_sigma(0.3, residual, learned=True).remedy


def test_nearly_all_is_not_rounded_to_all():
    shows = of_reconstructions(Reconstructions(1, 0.2, torch.tensor([0.0004])))
    assert "99.9 %" in shows.words


@pytest.mark.parametrize(
    ("distance", "level"), [(0.05, Level.GOOD), (0.2, Level.NOTE), (0.4, Level.BAD)]
)
def test_synthesised_images_are_held_against_the_mean_image(distance, level):
    shows = of_agreement([{"energy_distance": distance}] * 60, 0.3)
    assert shows.finding.level is level
    assert ("times as far" in shows.words) == (distance > 0.3)


def test_synthesised_images_are_not_judged_where_no_distance_was_logged():
    assert of_agreement([{"gap": 0.1}] * 60, 0.3) is None
    assert of_agreement([{"energy_distance": 0.1}] * 60, 0.0) is None


@pytest.mark.parametrize(("fall", "steady"), [(0.5, True), (0.0, False), (-0.5, False)])
@pytest.mark.parametrize("noise", (0.0, 0.1))
def test_a_measure_falls_where_it_goes_down_and_not_where_it_fluctuates_or_rises(
    fall, steady, noise
):
    rng = np.random.default_rng(0)
    values = np.linspace(1, 1 - fall, 80) + noise * rng.standard_normal(80)
    values = [5.0] * 240 + values.tolist()
    assert (falls(values) > 0.05) == steady


def test_a_fall_that_came_long_before_the_end_is_over():
    rng = np.random.default_rng(1)
    values = [10 - k / 50 for k in range(400)] + (2 + 0.1 * rng.standard_normal(200)).tolist()
    assert falls(values) == 0 and of_course("loss", values, None).level is Level.GOOD


def test_values_that_fluctuate_are_seldom_taken_for_a_fall():
    rng = np.random.default_rng(2)
    found = [falls(rng.standard_normal(100).tolist()) for _ in range(300)]
    assert np.mean([fall > 0 for fall in found]) < 0.06


def test_a_fall_is_a_note_unless_nearly_all_is_reached_and_too_few_values_are_not_judged():
    values = [1 / (k + 10) for k in range(200)]
    note = of_course("reconstruction error", values, 0.9)
    assert note.level is Level.NOTE and "still falls" in note.what
    assert "tigon resume" in note.remedy
    assert of_course("reconstruction error", values, None).level is Level.NOTE
    assert of_course("reconstruction error", values, 0.995).level is Level.GOOD
    assert of_course("reconstruction error", values[:47], 0.9) is None
    settled = of_course("energy distance", values, 0.7, settling=True)
    assert settled.level is Level.GOOD and not settled.remedy
