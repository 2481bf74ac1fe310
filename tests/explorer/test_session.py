"""What a page asks for is what the model does."""

import numpy as np
import pytest
import torch

from explored import Page, hub_of
from learned import run_of
from tigon.data.pixels import to_uint8
from tigon.explorer.panels.chain import Change, Settings, Synthesise, would_accept
from tigon.explorer.panels.fill import Fill
from tigon.explorer.panels.latents import Decode, Infer
from tigon.explorer.requests import Follow, Look, Steer
from tigon.explorer.session import UNSENT
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.models.cold_start import ColdStart
from tigon.random.streams import RowRng, make_rng
from tigon.runs.run import Run


def settings_of(model, **changed):
    chain = learned(model)
    return Settings(**({"pace": 0.0} | chain | changed))


def learned(model):
    kernel = model.learner.chains.kernel
    return {
        "temperature": kernel.temperature,
        "step_size": model.learner.model.step_size,
        "steps": model.learner.chains.steps,
    }


def test_a_decoded_picture_is_the_learners(hub):
    page = Page(hub("generator"))
    latents = ((0.25, -1.5), (2.0, 0.0))
    page.session.ask(Decode("decode", 7, "strip", latents))
    page.run()
    (found,) = page.of("decoded")
    wanted = to_uint8(page.session.model.learner.decode(torch.tensor(latents)))
    assert found["id"] == 7 and found["place"] == "strip"
    assert (
        np.array_equal(found["pixels"][..., :3], wanted) and (found["pixels"][..., 3] == 255).all()
    )


def test_of_stale_requests_only_the_latest_is_answered_and_the_point_goes_first(hub):
    page = Page(hub("generator"))
    for number in range(5):
        page.session.ask(Decode("decode", number, "grid", ((0.0, number / 10),)))
    for number in range(5, 9):
        page.session.ask(Decode("decode", number, "point", ((0.0, number / 10),)))
    page.run()
    assert [message["id"] for message in page.of("decoded")] == [8, 4]


def test_a_latent_of_another_length_is_refused(hub):
    page = Page(hub("generator"))
    page.session.ask(Decode("decode", 3, "point", ((0.0, 0.0, 0.0),)))
    page.run()
    (error,) = page.of("error")
    assert error["id"] == 3 and error["message"] == "latents of this model have 2 coordinates"


def test_a_watched_inference_takes_the_very_steps_of_infer(hub):
    page = Page(hub("deep"))
    model = page.session.model
    pixels = model.images.pixels[2]
    page.session.ask(Infer("infer", 5, 3, 11, pixels.tobytes()))
    page.run()
    glances = page.of("inferring")
    rng = RowRng(11, 0, range(3), "reconstruct")
    wanted = model.learner.model.infer(model.images.read(slice(2, 3)), rng, ColdStart(3))
    last = glances[-1]
    assert [glance["step"] for glance in glances] == list(range(121)) and last["steps"] == 120
    assert np.array_equal(last["latents"][last["best"]], wanted.latents[0].numpy())
    assert last["error"] == pytest.approx(wanted.errors.item(), rel=1e-5)
    assert np.array_equal(last["pixels"][0, ..., :3], to_uint8(wanted.images)[0])
    assert glances[0]["accept"] is None and 0 <= glances[80]["accept"] <= 1
    assert last["accept"] is None  # it climbs
    assert page.of("ended") == [{"type": "ended", "id": 5, "reason": ""}]


def test_a_picture_of_another_size_is_refused(hub):
    page = Page(hub("generator"))
    page.session.ask(Infer("infer", 5, 3, 0, bytes(5)))
    page.run()
    assert "8 x 8 x 3 bytes" in page.of("error")[0]["message"]


def test_an_unchanged_synthesis_is_the_learners_own(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    request = Synthesise("synthesise", 2, "image", 3, 9, settings_of(model))
    page.session.ask(request)
    page.run()
    looks = page.of("synthesising")
    own = model.learner.sample_chain(torch.tensor([3]), RowRng(9, 0, [3], "explore"))
    assert [look["step"] for look in looks] == [0, 1, 2, 3]
    assert np.array_equal(looks[-1]["pixels"][0, ..., :3], to_uint8(own.x)[0])
    assert looks[-1]["log_density"] == model.learner.model(own.x).item()
    assert looks[0]["log_density"] == own.before.item()
    assert looks[-1]["accept"] is None  # the last step has no noise


def test_a_synthesis_goes_from_grid_to_grid_as_the_learners_does(hub):
    page = Page(hub("grids"))
    model = page.session.model
    page.session.ask(Synthesise("synthesise", 2, "image", 3, 9, settings_of(model)))
    page.run()
    looks = page.of("synthesising")
    own = model.learner.model.on_grids(torch.tensor([3]), RowRng(9, 0, [3], "explore"))
    assert [look["step"] for look in looks] == list(range(7)) and looks[0]["steps"] == 6
    assert [look["grid"] for look in looks] == ["8 x 8"] * 4 + ["16 x 16"] * 3
    for look, images in zip((looks[3], looks[6]), own, strict=True):
        assert np.array_equal(look["pixels"][0, ..., :3], to_uint8(images)[0])
    (shown,) = page.of("model")
    assert shown["chain"]["grids"] == 2


def test_a_synthesis_of_a_texture_starts_with_the_noise_of_its_seed():
    page = Page(hub_of(Run(run_of("texture", image_size=16))))
    model = page.session.model
    page.session.ask(Synthesise("synthesise", 2, "image", 3, 9, settings_of(model)))
    page.run()
    looks = page.of("synthesising")
    own = model.learner.model.on_grids(torch.tensor([3]), RowRng(9, 0, [3], "explore"))
    assert looks[0]["pixels"][0, ..., :3].std() > 20, "noise"
    for look, images in zip((looks[3], looks[6]), own, strict=True):
        assert np.array_equal(look["pixels"][0, ..., :3], to_uint8(images)[0])


@pytest.mark.parametrize("start", ["noise", "mean"])
def test_other_starts_are_those_of_the_first_grid(hub, start):
    page = Page(hub("grids"))
    model = page.session.model
    page.session.ask(Synthesise("synthesise", 1, start, 2, 4, settings_of(model)))
    page.run(2)
    shown = page.of("synthesising")[0]["pixels"][0, ..., :3]
    reference = model.learner.model.grids[0].reference
    begins = {
        "noise": reference.sample(torch.zeros(1, 3, 8, 8), RowRng(4, 0, [2], "explore")),
        "mean": torch.nn.functional.avg_pool2d(model.images.mean_image()[None], 2),
    }
    assert np.array_equal(shown, to_uint8(begins[start])[0])


def test_sliders_act_at_once_on_a_running_chain(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    first = settings_of(model, steps=40)
    page.session.ask(Synthesise("synthesise", 1, "noise", 0, 0, first))
    page.run(11)
    shrink = model.learner.chains.adaptation.factor ** (model.learner.chains.steps - 1)
    page.session.ask(Change("change", settings_of(model, steps=20, step_size=0.01)))
    page.run()
    looks = page.of("synthesising")
    assert len(looks) == 21 and looks[-1]["steps"] == 20
    ratio = looks[11]["step_size"] / (0.01 * shrink ** (10 / 19))
    assert looks[9]["step_size"] > 0.05 and ratio == pytest.approx(1, rel=0.1)
    page.session.ask(Change("change", settings_of(model, steps=25)))
    page.run()
    assert page.of("synthesising")[-1]["step"] == 25


@pytest.mark.parametrize("start", ["noise", "mean", "image"])
def test_chains_start_where_they_are_said_to(hub, start):
    page = Page(hub("descriptor"))
    model = page.session.model
    page.session.ask(Synthesise("synthesise", 1, start, 2, 4, settings_of(model, steps=1)))
    page.run(2)
    shown = page.of("synthesising")[0]["pixels"][0, ..., :3]
    reference = model.learner.model.reference
    begins = {
        "noise": reference.sample(torch.zeros(1, 3, 8, 8), RowRng(4, 0, [2], "explore")),
        "mean": model.images.mean_image()[None],
        "image": model.learner.start(torch.tensor([2])),
    }
    assert np.array_equal(shown, to_uint8(begins[start])[0])


def test_what_an_adjusted_chain_would_have_accepted_is_what_mala_says(hub):
    learner = hub("descriptor").model.learner
    start = learner.start(torch.tensor([1]))
    for size, temperature in ((0.002, 1.0), (0.02, 1.0), (0.01, 0.5)):
        kernel = MALA(size, temperature)
        state = kernel.init(learner.model, start)
        _, info = kernel.step(learner.model, state, make_rng(1))
        free = Langevin(size, temperature)
        new = MCMC(free, 1).run(learner.model, state, make_rng(1)).state
        expected = info.accept_prob.item()
        assert would_accept(state, new, temperature) == pytest.approx(expected, rel=1e-4)
    assert would_accept(state, new, 0.0) is None


def test_a_chain_that_runs_away_ends_with_the_remedy(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    wild = settings_of(model, step_size=100.0, steps=1000, temperature=100.0)
    page.session.ask(Synthesise("synthesise", 1, "image", 0, 0, wild))
    page.run(3000)
    (ended,) = page.of("ended")
    assert "step size" in ended["reason"] or "diverged" in ended["reason"] or ended["reason"] == ""
    assert len(page.of("synthesising")) >= 1


def test_a_chain_can_be_held_and_stopped_and_waits_while_the_page_is_hidden(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    page.session.ask(Synthesise("synthesise", 1, "image", 0, 0, settings_of(model, steps=500)))
    page.run(5)
    for pause, go in ((Steer("hold"), Steer("go")), (Look("look", False), Look("look", True))):
        page.session.ask(pause)
        page.run(20)
        before = len(page.of("synthesising"))
        assert page.session.wait(float("inf")) is None
        page.session.ask(go)
        page.run(4)
        assert len(page.of("synthesising")) > before
    page.session.ask(Steer("stop"))
    page.run()
    assert page.of("ended")[0]["reason"] == "stopped"
    assert page.session.wait(float("inf")) is None


def test_chains_of_two_panels_go_on_side_by_side_and_are_stopped_one_by_one(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    page.session.ask(Synthesise("synthesise", 1, "image", 0, 0, settings_of(model, steps=500)))
    content = model.images.pixels[0].tobytes() + bytes(32) + b"\1" * 32
    page.session.ask(Fill("fill", 2, 32, 0, content))
    page.run(14)
    assert len(page.of("synthesising")) == len(page.of("filling")) == 6
    page.session.ask(Steer("hold", 2))
    page.run(11)
    assert len(page.of("synthesising")) == 16 and len(page.of("filling")) == 6
    page.session.ask(Steer("stop", 1))
    page.session.ask(Steer("go", 2))
    page.run(2)
    assert page.of("ended") == [{"type": "ended", "id": 1, "reason": "stopped"}]
    page.session.ask(Steer("stop", 1))  # which has ended
    page.run()
    assert len(page.of("filling")) == 32 and page.of("ended")[-1]["id"] == 2


def test_a_chain_waits_for_a_page_that_does_not_take_its_messages(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    page.session._send = lambda message: None
    page.session.ask(Synthesise("synthesise", 1, "image", 0, 0, settings_of(model, steps=500)))
    page.run()
    assert page.session.unsent == UNSENT + 1


def test_the_pace_is_kept(hub):
    page = Page(hub("descriptor"))
    model = page.session.model
    slow = settings_of(model, pace=2.0)
    page.session.ask(Synthesise("synthesise", 1, "image", 0, 0, slow))
    page.session.turn()
    page.session.turn()
    import time

    assert 0.3 < page.session.wait(time.monotonic()) <= 0.5


@pytest.mark.parametrize(
    "name, request_, reason",
    [
        ("descriptor", Decode("decode", 1, "point", ((0.0, 0.0),)), "has no latents"),
        ("descriptor", Infer("infer", 1, 1, 0, b""), "has no latents"),
        (
            "generator",
            Synthesise("synthesise", 1, "noise", 0, 0, Settings(1.0, 0.1, 3, 0.0)),
            "no chains of images",
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused(hub, name, request_, reason):
    page = Page(hub(name))
    page.session.ask(request_)
    page.run()
    assert reason in page.of("error")[0]["message"]


def test_a_page_that_does_not_follow_is_offered_a_new_model_and_takes_it_when_asked(hub):
    first, second = hub("generator"), hub("generator")
    page = Page(first)
    page.session.ask(Follow("follow", False))
    page.run()
    page.session.offer(second.model)
    assert page.session.model is first.model and page.of("offer")[0]["iteration"] == 6
    page.session.ask(Follow("follow", False, now=True))
    page.run()
    assert page.session.model is second.model and len(page.of("model")) == 2
