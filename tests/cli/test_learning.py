"""tigon train: what the images decide, and what is never learned from."""

import json
import tomllib

import numpy as np
import pytest

from small import LEARNED, SMALL
from tigon.runs.run import Run

RUN = ("train", "generator", "--data", "data.npz", "--out", "run", "--json")
QUICK = ["--image-size", "8", "--network.width", "4", "--no-report"]


@pytest.fixture
def data(tmp_path):
    """Sixty images that differ, brighter on the right."""
    pixels = np.random.default_rng(0).integers(0, 128, (60, 8, 8, 3), np.uint8)
    brighter = np.linspace(0, 127, 8).astype(np.uint8)[:, None]
    np.savez(tmp_path / "data.npz", images=pixels + brighter)
    return tmp_path / "data.npz"


def test_what_is_not_given_is_chosen_said_and_kept(tigon, data):
    status, _, err = tigon(*RUN, *QUICK, "--chains.steps", "1", "--iterations", "4")
    assert status == 0
    said = "generator: chosen for these images: held_out 0.1 (6 images, which are not learned from"
    assert said in err and "latent_dim 6 (one for 8 images, at least 2 and at most 100)" in err
    assert "mirror no (0 % of images are most like a mirrored copy of another; 33 % are" in err
    text = Run(data.parent / "run").config.read_text()
    recipe, _, why, mirror = text.splitlines()[:4]
    assert recipe == 'recipe = "generator"'  # by which run folders inside the data are known
    assert why == "# held_out 0.1, chosen: 6 images, which are not learned from"
    assert mirror.startswith("# mirror no, chosen: 0 % of images are most like a mirrored copy")
    values = tomllib.loads(text)
    chosen = values["held_out"], values["latent_dim"], values["mirror"]
    assert chosen == (0.1, 6, "no")
    status, out, err = tigon(*RUN, *QUICK, "--chains.steps", "1", "--iterations", "4")
    assert status == 0 and "already finished" in err and "chosen" not in err
    assert Run(data.parent / "run").config.read_text() == text


def test_mirrored_copies_are_learned_from_where_left_and_right_do_not_matter(tigon, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels)
    status, _, err = tigon(*RUN, *QUICK, "--chains.steps", "1", "--iterations", "4")
    run = Run(tmp_path / "run")
    assert status == 0 and "mirror yes (" in err and "108 images of 8x8x3" in err
    assert run.plain_config()["mirror"] == "yes" and run.plain_config()["latent_dim"] == 6
    images = run.images()
    assert len(images) == 108 and len(images.held_out) == 6
    assert images.name(54) == f"{images.name(0)} (mirrored)"
    assert len(run.learner().latents()) == 108
    assert tigon("resume", "run", "--iterations", "5")[0] == 0
    assert tigon("evaluate", "run", "--starts", "2")[0] == 0


def test_the_same_command_goes_on_with_what_was_chosen(tigon, data, tmp_path):
    assert tigon(*RUN, *LEARNED, "--latent-dim", 3, "--held-out", 0.2)[0] == 0
    status, _, err = tigon(*RUN, *LEARNED, "--iterations", 6, "--continue-with")
    assert status == 0 and "continues at iteration 5 of 6" in err
    values = Run(tmp_path / "run").plain_config()
    assert (values["latent_dim"], values["held_out"], values["iterations"]) == (3, 0.2, 6)


def test_a_finished_run_is_measured_on_what_was_held_out(tigon, data, tmp_path):
    assert tigon(*RUN, *SMALL)[0] == 0
    run = Run(tmp_path / "run")
    names = run.held_out.read_text().splitlines()
    images = run.images()
    assert names == list(images.held_out.names) and len(names) == 6 and len(images) == 54
    assert run.environment["images"]["count"] == 54
    page = (run.folder / "report.html").read_text()
    assert "error on held-out images" in page and "mean square on [-1, 1] over 6 images" in page
    first = json.loads(run.evaluation.read_text())
    assert (first["held_out"], first["training"], first["data"]) == (6, 54, "held-out images")
    run.evaluation.unlink()
    status, out, _ = tigon("evaluate", "run", "--starts", 2, "--json")
    again = json.loads(out)
    assert status == 0 and again["reconstructions"] == first["reconstructions"]
    found = json.loads(tigon("diagnose", "run", "--json")[1])["findings"]
    assert "held-out images" in {finding["name"] for finding in found}


def test_held_out_images_that_are_copies_are_left_out(tigon, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=np.concatenate([pixels, pixels[:30]]))
    assert tigon(*RUN, *LEARNED)[0] == 0
    assert tigon("evaluate", "run", "--starts", 2)[0] == 0
    values = json.loads(Run(tmp_path / "run").evaluation.read_text())
    copies = 9 - values["held_out"]
    assert copies >= 1
    assert f"{copies} of 9 held-out images are also training images: left out" in values["notes"]


def test_without_held_out_images_that_is_said(tigon, data, tmp_path):
    assert tigon(*RUN, *LEARNED, "--held-out", 0)[0] == 0
    run = Run(tmp_path / "run")
    assert not run.evaluation.exists() and not run.held_out.exists()
    found = json.loads(tigon("diagnose", "run", "--json")[1])["findings"]
    [said] = [finding for finding in found if finding["name"] == "held-out images"]
    assert said["level"] == "note" and "no images were held out" in said["what"]
    status, _, err = tigon("evaluate", "run")
    assert status == 2 and err.endswith("give images it has not seen with --data\n")


@pytest.mark.parametrize("other", ["--minutes", "--gradient-evaluations"])
@pytest.mark.parametrize("recipe", ["generator", "descriptor-original"])
def test_two_ends_of_a_run_are_refused(tigon, data, tmp_path, recipe, other):
    words = "--data", data, "--out", tmp_path / "run", "--iterations", "5", other, "3"
    status, _, err = tigon("train", recipe, *words)
    assert status == 2 and f"--iterations and {other}: give one of them" in err
    assert not (tmp_path / "run").exists()


def test_a_run_whose_images_have_moved_says_how_to_measure_it(tigon, data, tmp_path):
    assert tigon(*RUN, *SMALL, "--no-report")[0] == 0
    data.rename(tmp_path / "elsewhere.npz")
    status, _, err = tigon("evaluate", "run")
    command = "tigon resume run --data NEW"
    assert status == 2 and f"if these have moved, {command}, once it is done, says where" in err
    assert tigon(*command.replace("NEW", "elsewhere.npz").split()[1:], "--no-report")[0] == 0
    assert tigon("evaluate", "run", "--starts", 2)[0] == 0
