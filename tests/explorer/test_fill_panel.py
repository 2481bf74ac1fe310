"""What is painted over is filled by the chains of `tigon restore`, and the rest stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from explored import Page, hub_of, make_pictures, make_run
from learned import run_of
from small import generator_recipe
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.explorer.frames import shades
from tigon.explorer.panels.fill import Fill, FillPanel, Show, _mask
from tigon.explorer.requests import Steer
from tigon.inference.physics import Mask
from tigon.inference.restore import Draws, restore
from tigon.random.streams import RowRng
from tigon.runs.run import Run


def hole(height=8, width=8):
    """A mask that keeps all but a square."""
    kept = np.ones((height, width), np.uint8)
    kept[2:6, 3:7] = 0
    return kept


def asked(page, kept, row=1, chains=3, seed=5):
    """A request to fill in a training image."""
    content = page.session.model.images.pixels[row].tobytes() + kept.tobytes()
    return Fill("fill", 4, chains, seed, content)


def filled(page, kept=None, **options):
    """The messages about a picture that is filled in."""
    page.session.ask(asked(page, hole() if kept is None else kept, **options))
    page.run()
    return page.of("filling")


def restored(model, kept, chains=3, seed=5):
    """What `tigon restore` draws."""
    physics = Mask(torch.from_numpy(kept).float())
    images, rng = model.images.read(slice(1, 2)), RowRng(seed, 0, range(chains), "restore")
    return restore(model.learner.model, physics(images), physics, rng, how=Draws(chains))


def test_draws_of_a_generator_are_those_of_restore(hub):
    page = Page(hub("deep"))
    seen, model = filled(page), page.session.model
    wanted, last = restored(model, hole()), seen[-1]
    steps = [one["step"] for one in seen if one["step"]]
    assert steps == list(range(1, 161)) and last["steps"] == 160
    assert np.array_equal(last["mean"][..., :3], to_uint8(wanted.mean))
    assert np.array_equal(last["spread"], shades(wanted.spread.mean(1) / 0.5))
    assert np.array_equal(last["pixels"][..., :3], to_uint8(wanted.samples[0, -3:]))
    assert last["accept"] == pytest.approx(wanted.accept.item()) and last["draws"] == 12
    assert last["evidence"] == pytest.approx(wanted.evidence.item(), abs=1e-3)
    assert {one["evidence"] for one in seen[:-1]} == {None}  # known with all draws
    assert page.of("ended") == [{"type": "ended", "id": 4, "reason": ""}]


def test_what_is_kept_stays_and_draws_arrive_while_chains_run(hub):
    page, kept = Page(hub("generator")), hole() > 0
    image = page.session.model.images.pixels[1].copy()
    image[~kept] = 255 * (image[~kept] < 128)
    content = image.tobytes() + hole().tobytes()
    page.session.ask(Fill("fill", 4, 3, 5, content))
    page.run()
    shown = [one for one in page.of("filling") if "pixels" in one]
    assert [one["draws"] for one in shown if "mean" in one] == [3, 6, 9, 12]
    assert len(shown) == 114 + 4, "where chains are before the first draw, and the draws"
    for one in (shown[0], shown[50], shown[-1]):
        for picture in one["pixels"][..., :3].astype(int):
            assert np.abs(picture - image)[kept].max() <= 1
            assert np.abs(picture - image)[~kept].max() > 50
    last = shown[-1]
    assert np.abs(last["mean"][0, ..., :3].astype(int) - image)[kept].max() <= 1
    assert last["spread"][0, ..., 0][kept].max() <= 1 < last["spread"][0, ..., 0][~kept].min()


def test_what_is_painted_over_is_not_looked_at(hub):
    page, kept = Page(hub("generator")), hole()
    image = page.session.model.images.pixels[1].copy()
    found = []
    for value in (0, 255):
        image[kept == 0] = value
        page.session.ask(Fill("fill", value, 2, 5, image.tobytes() + kept.tobytes()))
        page.run()
        found.append(page.of("filling")[-1])
    assert np.array_equal(found[0]["pixels"], found[1]["pixels"])


@pytest.mark.parametrize("name", ["descriptor", "grids"])
def test_draws_of_a_descriptor_are_those_of_restore_one_by_one(hub, name):
    page = Page(hub(name))
    model = page.session.model
    kept = hole(*model.shape[:2])
    seen = filled(page, kept)
    wanted = restored(model, kept)
    assert [one["draws"] for one in seen] == [1, 2, 3] and seen[-1]["accept"] is None
    assert [len(one["pixels"]) for one in seen] == [1, 2, 3]
    near = np.abs(seen[-1]["pixels"][..., :3].astype(int) - to_uint8(wanted.samples[0]))
    assert near.max() <= 1
    assert np.abs(seen[-1]["mean"][..., :3].astype(int) - to_uint8(wanted.mean)).max() <= 1
    image = model.images.pixels[1]
    assert np.array_equal(seen[0]["pixels"][0, ..., :3][kept > 0], image[kept > 0])


def test_the_page_is_told_where_draws_are_no_posterior(hub):
    (able,), (other,) = Page(hub("generator")).of("model"), Page(hub("descriptor")).of("model")
    assert able["fill"]["remark"] == "" and "no posterior" in other["fill"]["remark"]


def test_a_fill_is_stopped_and_another_replaces_it(hub):
    page = Page(hub("generator"))
    page.session.ask(asked(page, hole()))
    page.run(10)
    page.session.ask(replace(asked(page, hole()), id=5))
    page.run(10)
    page.session.ask(Steer("stop", 5))
    page.run()
    reasons = [(one["id"], one["reason"]) for one in page.of("ended")]
    assert reasons == [(4, "another was started"), (5, "stopped")]
    assert page.of("filling")[-1]["step"] < 20


@pytest.mark.parametrize("name", ["generator", "descriptor"])
@pytest.mark.parametrize(
    "kept, reason",
    [
        (np.ones((8, 8), np.uint8), "nothing is painted over"),
        (np.zeros((8, 8), np.uint8), "everything is painted over"),
        (2 * hole(), "8 x 8 bytes, each 0 or 1"),
        (hole()[1:], "8 x 8 bytes, each 0 or 1"),
    ],
)
def test_a_mask_that_leaves_nothing_to_do_is_refused(hub, name, kept, reason):
    page = Page(hub(name))
    assert filled(page, kept) == []
    (error,) = page.of("error")
    assert reason in error["message"] and error["of"] == "fill" and error["id"] == 4


def test_a_picture_of_another_size_is_refused(hub):
    page = Page(hub("generator"))
    page.session.ask(Fill("fill", 4, 2, 0, bytes(7)))
    page.run()
    assert "8 x 8 x 3 bytes" in page.of("error")[0]["message"]


@given(st.binary(max_size=20) | st.lists(st.sampled_from([0, 1, 1, 9]), max_size=15).map(bytes))
def test_any_bytes_are_a_mask_with_both_values_or_refused_in_one_line(content):
    try:
        kept = _mask(content, (3, 4))
    except TigonError as error:
        assert str(error) and "\n" not in str(error)
        assert len(content) != 12 or set(content) != {0, 1}
    else:
        assert kept.shape == (3, 4) and kept.flatten().tolist() == [float(b) for b in content]


def test_grey_and_rectangular_pictures_are_filled(tmp_path):
    recipe = generator_recipe(image_size=(8, 12), channels=1)
    page = Page(
        hub_of(make_run(tmp_path / "run", "generator", recipe, make_pictures(tmp_path / "p")))
    )
    kept = hole(8, 12)
    last = filled(page, kept)[-1]
    assert last["mean"].shape == (1, 8, 12, 4)
    image = page.session.model.images.pixels[1]
    assert np.abs(last["mean"][0, ..., :1].astype(int) - image)[kept > 0].max() <= 1


def test_a_training_image_is_shown_in_full(hub):
    page = Page(hub("grids"))
    page.session.ask(Show("image", 9, 3))
    page.session.ask(Show("image", 10, 3))
    page.run()
    (found,) = page.of("image")
    assert found["id"] == 10 and found["name"] == "3.png" and found["kept"].all()
    assert np.array_equal(found["pixels"], page.session.model.images.pixels[3])


def test_missing_values_of_a_training_image_are_painted_over(hub):
    model = hub("generator").model
    masks = np.full((5, 8, 8), 255, np.uint8)
    masks[2, 1:3] = 0
    model = replace(model, images=replace(model.images, masks=masks))
    page = Page(hub("generator"))
    page.session.model = model
    page.session.ask(Show("image", 9, 2))
    page.run()
    assert np.array_equal(page.of("image")[0]["kept"], masks[2] > 0)


def test_images_that_cannot_be_read_and_models_that_cannot_fill_in_are_named(hub):
    page = Page(hub("generator"))
    page.session.model = replace(page.session.model, images=None, note="they are gone")
    page.session.ask(Show("image", 9, 2))
    page.run()
    assert page.of("error")[0]["message"] == "there are no training images: they are gone"
    texture = Page(hub_of(Run(run_of("texture", image_size=16))))
    assert "fill" not in texture.of("model")[0]
    model = replace(page.session.model, learner=torch.nn.Module())
    model.learner.model = torch.nn.Linear(1, 1)
    with pytest.raises(TigonError, match="neither latents nor chains"):
        FillPanel().part(model)
