"""The training images that are shown are the nearest ones, the most suspicious first."""

import numpy as np
import pytest
import torch

from small import generator_learner, image_set
from tigon.data.images import ImageSet
from tigon.data.pixels import to_float
from tigon.diagnostics import evaluation
from tigon.diagnostics.copies import Neighbours, copies_test, neighbours
from tigon.diagnostics.drawing import nearest_figure
from tigon.diagnostics.evaluation import Evaluation, evaluate
from tigon.diagnostics.nearest import SHOWN, most_suspicious, nearest_in_pixels
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.rules.held_out import of_evaluation


def grey(*levels):
    """An image of each of these levels, all over."""
    pixels = np.array(levels, np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    return ImageSet(pixels.repeat(3, 3), [f"{level}.png" for level in levels], [])


class Stream(ImageSet):
    streamed = True


def pixels_of(*sets):
    return neighbours(*(images.read().flatten(1) for images in sets))


def test_neighbours_are_the_nearest_and_relative_to_held_out_ones():
    found = pixels_of(grey(12, 100, 180), grey(20, 150), grey(0, 10, 90, 200))
    assert found.rows.tolist() == [1, 2, 3]
    assert (found.distances / found.distances[0]).tolist() == pytest.approx([1, 5, 10], rel=1e-3)
    assert found.relative.tolist() == pytest.approx([2 / 8, 10 / 50, 20 / 30], rel=1e-3)


def test_an_image_that_is_both_a_training_and_a_held_out_one_has_a_number():
    assert pixels_of(grey(10), grey(10), grey(10, 90)).relative.tolist() == [0]


def test_the_most_suspicious_stand_first_each_with_its_nearest_by_pixels_and_by_features():
    drawn, training = grey(12, 100, 180), grey(0, 10, 90, 200)
    by_pixels = pixels_of(drawn, grey(20, 150), training)
    by_features = Neighbours(torch.tensor([0, 0, 3]), torch.ones(3), torch.tensor([0.9, 0.8, 0.1]))
    every = torch.arange(4)
    spaces = {"pixels": by_pixels, "features": by_features}
    found = most_suspicious(drawn.read(), training, every, spaces)
    assert torch.equal(found.drawn, drawn.read()[[2, 1, 0]])
    assert found.names["pixels"] == ["200.png", "90.png", "10.png"]
    assert found.names["features"] == ["200.png", "0.png", "0.png"]
    assert found.suspects == ["200.png", "90.png", "10.png"]
    for space, names in found.names.items():
        assert torch.equal(found.training[space], grey(*(int(n[:-4]) for n in names)).read())
    first, *_ = found.to_plain()["features"]
    assert first == {"image": "200.png", "relative": pytest.approx(0.1)}
    figure = nearest_figure(found)
    assert "The 3 of 3 drawn images" in figure.caption and "all 4 training" in figure.caption
    assert "0.67 by pixels and 0.1 by features" in figure.caption
    assert "by pixels; nearest training images, by features" in figure.description


def test_a_verdict_of_copies_names_the_training_images_that_were_copied():
    training = image_set(40)
    drawn, held_out = training.read()[:30], image_set(30, seed=1).read()
    test = copies_test(*(x.flatten(1) for x in (drawn, held_out, training.read())))
    near = most_suspicious(drawn, training, torch.arange(40), {"pixels": test.neighbours})
    found = Evaluation(30, 0, 40, 30, 0, copies={"pixels": test}, nearest=near)
    said = of_evaluation(found)[-1]
    assert said.level is Level.BAD and said.name == "copies"
    named = said.what.split("the most suspicious are most like ")[1].split(", ")
    assert len(set(named)) == SHOWN and set(named) <= set(training.names[:30])


def test_rows_are_those_of_the_data_set_where_only_some_were_looked_at():
    training, some = grey(0, 10, 90, 200), torch.tensor([0, 2])
    near = neighbours(
        grey(12).read().flatten(1), grey(20).read().flatten(1), training.read(some).flatten(1)
    )
    found = most_suspicious(grey(12).read(), training, some, {"pixels": near})
    assert found.names == {"pixels": ["0.png"]} and found.among == "2 of 4 training images"
    near = near._replace(rows=near.rows + 1)
    assert most_suspicious(grey(12).read(), training, some, {"pixels": near}).suspects == [
        "90.png"
    ]


def test_without_held_out_images_the_nearest_by_pixels_of_all_are_shown():
    pixels = image_set(1500).pixels
    training = ImageSet(pixels, [str(row) for row in range(1500)], [])
    drawn = to_float(pixels[[1400, 3, 700]]) + 0.01
    found = nearest_in_pixels(drawn, training)
    assert found.names == {"pixels": ["1400", "3", "700"]} and not found.suspects
    assert torch.equal(found.training["pixels"], training.read()[[1400, 3, 700]])
    figure = nearest_figure(found)
    assert "The first 3 images of the model, not selected" in figure.caption
    assert "of all 1500 training images" in figure.caption


def test_of_a_stream_the_first_images_are_looked_at_and_that_is_said():
    known = image_set(5)
    found = nearest_in_pixels(known.read()[2:3], Stream(known.pixels, known.names, []))
    assert found.names == {"pixels": ["2.png"]}
    assert found.among == "the first 5 training images of the stream"


@pytest.mark.parametrize("count", [24, 12])
def test_an_evaluation_has_them_by_features_too_where_copies_are_tested_for(count, monkeypatch):
    monkeypatch.setattr(evaluation, "features", lambda images: images.flatten(1).double())
    model, training = generator_learner(40).model, image_set(40)
    found = evaluate(model, image_set(count, seed=1), training, None)
    spaces = ["pixels", "features"] if count >= 20 else ["pixels"]
    assert list(found.nearest.training) == list(found.to_plain()["nearest"]) == spaces
    assert len(found.nearest.drawn) == SHOWN and found.nearest.drew == count
    expected = nearest_in_pixels(found.nearest.drawn.clamp(-1, 1), training).names
    assert found.nearest.names["pixels"] == expected["pixels"]
