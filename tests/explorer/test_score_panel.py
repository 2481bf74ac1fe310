"""A picture's scores are those of `tigon score`, and so are their percentiles."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from explored import Page
from tigon.errors import TigonError
from tigon.explorer import calibration
from tigon.explorer.calibration import Calibration
from tigon.explorer.frames import shades
from tigon.explorer.panels.score import Judge, ScorePanel
from tigon.explorer.requests import Steer
from tigon.inference.score import percentiles, score, score_all
from tigon.models.cold_start import ColdStart
from tigon.random.streams import RowRng


def pixels_of(page, row=0):
    """The bytes of a training image, with its lower half turned around."""
    pixels = page.session.model.images.pixels[row].copy()
    pixels[4:] = 255 - pixels[4:]
    return pixels


def scored(page, seed=5, id=4):
    """The messages with scores."""
    page.session.ask(Judge("score", id, seed, pixels_of(page).tobytes()))
    page.run(5000)
    return [one for one in page.of("scored") if one["id"] == id]


def own(page, seed=5):
    """What `tigon score` says of the picture."""
    image = torch.from_numpy(pixels_of(page)).permute(2, 0, 1)[None] / 127.5 - 1
    model, rng = page.session.model.learner.model, RowRng(seed, 0, range(4), "score")
    return score(model, image, rng)


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_scores_percentiles_and_map_are_those_of_tigon_score(calibrated, name, monkeypatch):
    monkeypatch.setattr(calibration, "TOGETHER", 20)
    page = Page(calibrated(name))
    first, last = scored(page)
    model, wanted = page.session.model, own(page)
    beside = score_all(model.learner.model, model.images.held_out, ColdStart(4), 0, "calibration")
    assert [row["name"] for row in last["scores"]] == list(wanted.scores)
    for row in last["scores"]:
        value, others = wanted.scores[row["name"]], beside.scores[row["name"]]
        assert row["value"] == pytest.approx(value.item(), rel=1e-4)
        assert row["percentile"] == percentiles(value, others).item()
    assert last["calibrated"] == 22 and last["why"] == "" and last["finished"]
    white = np.quantile(beside.maps.numpy(), 0.999)
    assert last["white"] == pytest.approx(white, rel=1e-4)
    near = np.abs(last["map"].astype(int) - shades(wanted.maps / white))
    assert near.max() <= 1 and last["map"][..., 0].max() > 50
    assert all(row["percentile"] is None for row in first["scores"]) and not first["finished"]
    done = [one["done"] for one in page.of("calibrating")]
    assert done == sorted(done) and {20, 22} <= {*done}
    assert page.of("ended")[-1]["reason"] == ""


def test_held_out_images_are_scored_once_for_all_pages(calibrated, monkeypatch):
    hub, taken = calibrated("descriptor"), []
    monkeypatch.setattr(calibration, "scoring", lambda *given: taken.append(1) or original(*given))
    page, other = Page(hub), Page(hub)
    page.session.ask(Judge("score", 1, 0, pixels_of(page).tobytes()))
    page.run(4)
    page.session.ask(Steer("stop", 1))
    page.run()
    assert page.of("ended")[0]["reason"] == "stopped" and 0 < len(taken) < 6
    assert len(scored(other)) == 2 and len(scored(page)) == 1, "the second has nothing to wait for"
    assert len(taken) == 6, "22 images, four at a time"


original = calibration.scoring


def test_a_page_without_enough_held_out_images_is_told_why(hub):
    page = Page(hub("grids"))
    pixels = page.session.model.images.pixels[0].tobytes()
    page.session.ask(Judge("score", 4, 5, pixels))
    page.run()
    (found,) = page.of("scored")
    assert found["why"].endswith("20 or more images that the run held out, and there are 0")
    assert all(row["percentile"] is None for row in found["scores"]) and found["finished"]
    names = page.of("model")[0]["score"]["names"]
    assert names[0] == "minus_log_density_8" == found["scores"][0]["name"]
    assert "no likelihood" in page.of("model")[0]["score"]["remarks"][0]


def test_why_there_are_no_percentiles(calibrated):
    model = calibrated("descriptor").model
    some, own = model.images, model.learner.model
    few = replace(
        some,
        held_out=replace(
            some.held_out, pixels=some.pixels[:19], names=["a"] * 19, rows=np.arange(19)
        ),
    )
    masks = np.ones((len(some), 8, 8), np.uint8)
    assert "there are 19" in Calibration(own, few, "").why
    assert "values" in Calibration(own, replace(some, masks=masks), "").why
    assert Calibration(own, None, "they moved").why.endswith("cannot be read: they moved")
    assert not Calibration(own, some, "").finished


def test_a_calibration_that_fails_says_why(calibrated, monkeypatch):
    def failing(*given):
        raise TigonError("the model diverged")
        yield

    page = Page(calibrated("descriptor"))
    monkeypatch.setattr(calibration, "scoring", failing)
    first, last = scored(page)
    assert last["why"] == "no percentile: the model diverged" and last["finished"]


def test_a_picture_of_another_size_and_a_model_without_scores_are_refused(hub):
    page = Page(hub("generator"))
    page.session.ask(Judge("score", 4, 0, bytes(9)))
    page.run()
    assert "8 x 8 x 3 bytes" in page.of("error")[0]["message"]
    model = replace(page.session.model, learner=torch.nn.Module())
    model.learner.model = torch.nn.Linear(1, 1)
    with pytest.raises(TigonError, match="latents or a log-density"):
        ScorePanel().part(model)
