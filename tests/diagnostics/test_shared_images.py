"""Images that two sets share are found, however many there are and whatever of them is missing."""

import pytest
import torch

from small import image_set
from tigon.data.datasets import as_data
from tigon.diagnostics import shared_images
from tigon.diagnostics.shared_images import nearest_of, require_unseen, shared_with
from tigon.errors import TigonError
from tigon.random.streams import make_rng


@pytest.mark.parametrize("part", [1000, 3])
def test_copies_are_found_and_images_that_are_nearly_alike_are_none(monkeypatch, part):
    monkeypatch.setattr(shared_images, "PART", part)
    others, images = image_set(10), image_set(4, seed=1).read()
    images[1], images[3] = others.read()[7], others.read()[2]
    images[3, 0, 0, 0] += 1 / 127.5
    assert shared_with(images, others).tolist() == [False, True, False, False]
    nearest, copies = nearest_of(images, others.read())
    assert nearest[[1, 3]].tolist() == [7, 2] and copies.tolist() == [False, True, False, False]


def test_of_images_with_missing_values_those_that_were_observed_are_compared():
    whole, images = image_set(10).read(), image_set(4, seed=1).read()
    mask = (torch.rand(10, 1, 8, 8, generator=make_rng("mask")) < 0.5).float()
    images[2] = torch.where(mask[6] > 0, whole[6], images[2])
    images[0] = torch.where(mask[6] > 0, images[0], whole[6])
    assert shared_with(images, as_data(whole, mask=mask)).tolist() == [False, False, True, False]


def test_a_few_observed_values_that_agree_say_nothing():
    whole, images = image_set(10).read(), image_set(4, seed=1).read()
    mask = torch.zeros(10, 1, 8, 8)
    mask[:, :, :2, :4] = 1
    images[2, :, :2, :4] = whole[6, :, :2, :4]
    assert not shared_with(images, as_data(whole, mask=mask)).any()


def test_many_images_that_are_alike_are_compared_one_by_one():
    blank = torch.full((50, 3, 8, 8), -0.5)
    assert shared_with(blank[:3], as_data(blank)).all()
    assert not shared_with(blank[:3] + 1 / 127.5, as_data(blank)).any()


def test_training_images_are_refused_and_counted():
    require_unseen(torch.tensor([False, False]), "--calibrate a", "calibration")
    with pytest.raises(TigonError, match="--calibrate a: 1 of 2 calibration images are training"):
        require_unseen(torch.tensor([True, False]), "--calibrate a", "calibration")
