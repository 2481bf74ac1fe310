"""tigon restore, on a run and its own images."""

import json

import numpy as np
import pytest
from PIL import Image

from learned import run_of


@pytest.fixture
def restore(tigon, pictures):
    """Restore the pictures by two chains each; there are masks of their size."""
    kept = np.full((8, 8), 255, np.uint8)
    kept[2:5, 3:] = 0
    Image.fromarray(kept).save("hole.png")
    chains = ["--data", pictures, "--chains", "2"]
    return lambda *words: tigon("restore", run_of("generator"), *chains, *words)


def test_missing_values_are_drawn_and_the_others_kept(restore, pictures):
    words = ["--mask", "hole.png", "--truth", pictures]
    status, text, _ = restore(*words, "--out", "r.npz")
    assert status == 0 and "5 images, 8 draws of each by 2 chains" in text
    assert "beside the truth: mean of the draws" in text
    said = text
    with np.load("r.npz") as arrays:
        assert arrays["samples"].shape == (5, 8, 8, 8, 3) and arrays["latents"].shape == (5, 8, 2)
        truth = np.stack([Image.open(pictures / f"{k}.png").resize((8, 8), 1) for k in range(5)])
        apart = np.abs(arrays["images"].astype(int) - truth)
        assert apart[:, :2].max() <= 2 < apart[:, 2:5, 3:].max()
        assert arrays["spread"][:, :2].max() < 3e-3 < arrays["spread"][:, 2:5, 3:].min()
    status, text, _ = restore(*words, "--out", "r.png", "--json")
    values = json.loads(text)
    assert values["images"] == 5 and values["psnr_mean"] > 10 and -1 <= values["ssim_mean"] <= 1
    assert Image.open("r.png").width >= 320
    assert f"{values['without_decoder']} of 5 images restored without f(z)" in said
    _, text, _ = restore(*words, "--decoder-only", "--out", "r.png", "--json")
    assert "without_decoder" not in json.loads(text)


@pytest.mark.parametrize("how", [["--blur", "0.4"], ["--grey"]])
def test_other_ways_of_observing(restore, how):
    status, text, _ = restore(*how, "--noise", "0.05", "--out", "folder")
    assert status == 0 and "a PNG of each mean" in text


def test_small_images_are_made_large(tigon, pictures):
    model, words = run_of("generator", image_size=16), ["--chains", "2", "--downsample", "2"]
    assert tigon("restore", model, "--data", pictures, *words, "--out", "r.png")[0] == 0
    assert Image.open("r.png").height > 5 * 16


def test_each_image_has_the_mask_of_its_name(restore, tmp_path):
    (tmp_path / "masks").mkdir()
    for k in range(5):
        kept = np.zeros((8, 8), np.uint8)
        kept[k] = 255
        Image.fromarray(kept).save(tmp_path / "masks" / f"{k}.png")
    assert restore("--mask", "masks", "--out", "r.npz")[0] == 0
    with np.load("r.npz") as arrays:
        certain = arrays["spread"].max((2, 3)) < 1e-3
        assert np.array_equal(certain[:, :5], np.eye(5, dtype=bool))
    (tmp_path / "masks" / "notes.txt").write_text("rows")
    Image.new("L", (8, 8), 255).save(tmp_path / "masks" / "3.gif")
    status, _, err = restore("--mask", "masks", "--out", "s.npz")
    assert status == 2 and "3.gif and 3.png are one image's" in err


def test_what_is_transparent_in_a_mask_is_missing(restore):
    hole = np.full((8, 8, 4), 255, np.uint8)
    hole[2:5, 3:, 3] = 0
    Image.fromarray(hole).save("alpha.png")
    assert restore("--mask", "alpha.png", "--out", "a.npz")[0] == 0
    assert restore("--mask", "hole.png", "--out", "b.npz")[0] == 0
    with np.load("a.npz") as one, np.load("b.npz") as other:
        assert np.array_equal(one["spread"], other["spread"])


def test_bright_images_are_shown(restore, tmp_path):
    Image.new("RGB", (8, 8), (250, 240, 200)).save(tmp_path / "bright.png")
    words = ["--data", tmp_path / "bright.png", "--mask", "hole.png", "--out", "r.png"]
    assert restore(*words)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give exactly one of --mask, --downsample, --blur and --grey"),
        (["--grey", "--blur", "1"], "give exactly one of"),
        (["--mask", "large.png"], "--mask large.png: is 9, but the model's images are 8"),
        (["--mask", "black.png"], "keeps nothing"),
        (["--mask", "none.png"], "cannot be found; give a picture, a folder of them, or alpha"),
        (["--mask", "few"], "has no mask for 0.png"),
        (["--downsample", "2"], "--downsample 2: must be 2 or more, divide 8"),
        (["--downsample", "-1"], "--downsample -1: must be 2 or more"),
        (["--downsample", "0"], "--downsample 0: must be 2 or more"),
        (["--blur", "-1"], "--blur -1: must be at least 0.01"),
        (["--blur", "0", "--noise", "0.1"], "--blur 0: must be at least 0.01"),
        (["--blur", "inf", "--noise", "0.1"], "--blur inf: must be at least 0.01 and at most 50"),
        (["--blur", "1"], "--blur: needs --noise, such as --noise 0.02"),
        (["--grey", "--noise", "-1"], "--noise -1: must be at least 0"),
        (["--grey", "--noise", "nan"], "--noise nan: must be at least 0 and at most 100"),
        (["--grey", "--truth", "hole.png"], "--truth hole.png: has 1 image, but --data"),
        (["--grey", "--chains", "0"], "--chains must be at least 1"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(restore, tmp_path, words, said):
    Image.new("L", (9, 9), 255).save("large.png")
    Image.new("L", (8, 8), 0).save("black.png")
    (tmp_path / "few").mkdir()
    status, out, err = restore("--out", "r.png", *words)
    last = err.splitlines()[-1]
    assert (status, out) == (2, "") and last.startswith("tigon:") and said in last
    assert not (tmp_path / "r.png").exists()


def test_a_descriptor_restores_what_a_mask_hides_and_nothing_else(restore, tigon, pictures):
    words = ["--data", pictures, "--chains", "2", "--out"]
    status, text, _ = tigon("restore", run_of("descriptor"), "--mask", "hole.png", *words, "r.npz")
    assert status == 0 and "2 draws of each by 2 chains: the model's own short chains" in text
    with np.load("r.npz") as arrays:
        assert arrays["samples"].shape == (5, 2, 8, 8, 3) and arrays["latents"].shape == (5, 2, 0)
        assert arrays["spread"][:, :2].max() < 1e-6 < arrays["spread"][:, 2:5, 3:].max()
    status, text, _ = tigon("restore", run_of("descriptor"), "--mask", "hole.png", *words, "r.png")
    assert status == 0 and "r.png: what was observed, and below it the mean, 2 draws, the" in text
    one = ["--mask", "hole.png", *words, "r.png", "--chains", "1"]
    assert "the mean, 1 draw, the spread" in tigon("restore", run_of("descriptor"), *one)[1]
    for option in ("--decoder-only", "--smooth"):
        status, _, err = tigon("restore", run_of("descriptor"), option, *one)
        assert status == 2 and f"{option}: is for models with latents, and " in err
    for how in (["--grey"], ["--mask", "hole.png", "--noise", "0.1"]):
        status, _, err = tigon("restore", run_of("descriptor"), *how, *words, "bad.png")
        assert status == 2 and "has no latents, and restores what --mask hides" in err
    status, _, err = tigon("restore", run_of("texture"), "--mask", "hole.png", *words, "bad.png")
    assert status == 2 and "a texture does not complete pictures" in err
