"""The command line as a contract: statuses, what is printed, files written."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small import LEARNED, SMALL, descriptor_recipe, generator_recipe
from tigon.cli import learning
from tigon.cli.main import VERBS, recipe_names
from tigon.cli.progress import counted
from tigon.recipes import recipes


@pytest.fixture(scope="module")
def once():
    """Run folders that were trained, by recipe, and the pictures of each."""
    return {}


@pytest.fixture
def generator(tigon, pictures, once, tmp_path_factory):
    """A run folder of a trained generator: a copy, whose pictures are this test's."""
    if not once:
        folder = tmp_path_factory.mktemp("once") / "gen"
        assert tigon("train", "generator", "--data", pictures, "--out", folder, *SMALL)[0] == 0
        once.update(folder=folder, pictures=pictures)
    config = shutil.copytree(once["folder"], "gen") + "/config.toml"
    text = Path(config).read_text()
    Path(config).write_text(text.replace(str(once["pictures"]), str(pictures)))
    return "gen"


@pytest.fixture
def descriptor(tigon, pictures):
    """A run folder of a trained descriptor."""
    words = ["--data", pictures, "--out", "desc", *LEARNED, "--chains.steps", "3"]
    assert tigon("train", "descriptor", *words)[0] == 0
    return "desc"


def test_train_prints_the_report_on_stdout_and_progress_on_stderr(tigon, pictures, tmp_path):
    words = ["train", "generator", "--data", pictures, "--out", "run", *SMALL]
    status, out, err = tigon(*words)
    assert status == 0
    assert f"report: {tmp_path / 'run' / 'report.html'}" in out
    lines = err.splitlines()
    assert lines[0] == f"generator: 5 images of 8x8x3 from {pictures}, 5 iterations, run run"
    assert lines[1].startswith("generator: chosen for these images: latent_dim 2 (one for 8 im")
    assert "reconstruction error is the mean squared error of f(z)" in lines[2]
    assert re.search(
        r"iteration 5 \(100 %\)  \d+ s  reconstruction error [\d.]+  acceptance", lines[3]
    )
    status, again, err = tigon(*words)
    assert status == 0 and again == out and "(100 %)" not in err
    assert "run run: it is already finished, at iteration 5 of 5; tigon resume run --iter" in err


def test_the_demo_learns_both_models_and_prints_the_path_of_its_report(
    tigon, tmp_path, monkeypatch
):
    recipes = {"generator": generator_recipe(), "descriptor": descriptor_recipe()}
    monkeypatch.setattr(learning, "demonstrated", lambda: recipes)
    status, out, err = tigon("demo")
    assert err.startswith("1 of 2: generator: 10 images of 8x8x3 from embedded:animal-faces, 6 it")
    assert "2 of 2: descriptor: gap is mean f(synthesised) - mean f(observed)" in err
    report = tmp_path / "tigon-demo" / "report.html"
    assert status == 0 and out == f"report: {report}\n"
    assert "generator: recipe generator" in report.read_text()
    assert {p.name for p in report.parent.iterdir()} == {"generator", "descriptor", "report.html"}
    assert tigon("demo")[0] == 0


@pytest.mark.parametrize("name", ["report.html", "notes/a.txt", "config.toml", "generator/a.txt"])
def test_the_demo_leaves_a_folder_of_other_things_alone(tigon, tmp_path, name):
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    said = "tigon: --out mine: is not empty and not a demo; give another folder\n"
    assert tigon("demo", "--out", "mine") == (2, "", said)
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [path]
    assert path.read_text() == "mine"
    said = f"tigon: --out {path}: is a file, not a folder\n"
    assert tigon("demo", "--out", path) == (2, "", said)


def test_json_is_one_object_with_the_last_record(tigon, pictures):
    status, out, _ = tigon(
        "train", "generator", "--data", pictures, "--out", "r", "--json", *LEARNED
    )
    values = json.loads(out)
    assert status == 0 and values["iteration"] == 5 and "reconstruction_error" in values


def test_every_field_of_a_recipe_has_an_option(tigon, pictures):
    status, out, _ = tigon(
        "train", "generator", "--data", pictures, "--out", "r", "--json", "--no-report",
        "--image-size", "8", "--network.width", "4", "--latent-dim", "3", "--sigma", "0.2",
        "--seed", "4", "--batch-size", "2", "--gradient-evaluations", "7", "--network.norm",
        "group", "--optimizer.betas", "0.5", "0.9", "--chains.steps", "2", "--annealing.start",
        "0.5", "--mirror", "yes",
    )  # fmt: skip
    assert status == 0
    values = json.loads(out)
    assert len(values["latent_mean"]) == 3 and values["gradient_evaluations"] <= 7


@pytest.mark.parametrize("recipe", ["generator-original", "descriptor-original"])
def test_the_original_algorithms_run(tigon, pictures, recipe):
    words = ["--data", pictures, "--out", "run", *LEARNED, "--chains.steps", "2"]
    assert tigon("train", recipe, *words)[0] == 0
    status, out, _ = tigon("train", recipe, "--help")
    assert status == 0 and "FOR COMPARISON ONLY" in out


def test_sample_writes_npz_png_and_folder(tigon, generator):
    for out in ("s.npz", "s.png", "s"):
        status, text, _ = tigon("sample", generator, "--count", "5", "--out", out)
        assert status == 0 and f"5 images: {out}" in text
    with np.load("s.npz") as arrays:
        assert arrays["images"].dtype == np.uint8 and arrays["images"].shape == (5, 8, 8, 3)
        first = arrays["images"][0]
    assert np.array_equal(np.asarray(Image.open("s/00000.png")), first)
    assert len(os.listdir("s")) == 5


def test_a_sample_with_noise_is_the_same_sample_and_its_noise(tigon, generator, descriptor):
    for name, words in (("plain", []), ("noisy", ["--noise"])):
        assert tigon("sample", generator, "--count", "64", "--out", f"{name}.npz", *words)[0] == 0
    plain, noisy = (np.load(f"{name}.npz")["images"].astype(float) for name in ("plain", "noisy"))
    inside = (plain > 100) & (plain < 155)  # where noise of 0.3 * 127.5 is hardly clipped
    assert (noisy - plain)[inside].std() == pytest.approx(0.3 * 127.5, rel=0.05)
    status, _, err = tigon("sample", descriptor, "--out", "s.npz", "--noise")
    assert status == 2 and err == (
        "tigon: --noise: needs a model with latents; this one has none\n"
    )


def test_a_sample_is_repeated_by_its_seed(tigon, generator, descriptor):
    for run in (generator, descriptor):
        for name, seed in (("a.npz", 1), ("b.npz", 1), ("c.npz", 2)):
            tigon("sample", run, "--count", "3", "--out", name, "--seed", seed)
        a, b, c = (np.load(name)["images"] for name in ("a.npz", "b.npz", "c.npz"))
        assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_reconstruct_prints_the_error_of_each_image(tigon, generator, pictures):
    words = ["reconstruct", generator, "--data", pictures, "--starts", "2"]
    status, text, _ = tigon(*words, "--out", "r.npz")
    assert status == 0 and text.count("\n") == 8
    assert "over 5 images" in text and "of 2 chains, 1 of them from a linear guess," in text
    assert "216 gradient evaluations an image" in text
    assert text.endswith("r.npz: reconstructions (`images`), `latents` and `errors`\n")
    with np.load("r.npz") as arrays:
        assert arrays["latents"].shape == (5, 2)
        pixels = [
            np.asarray(Image.open(pictures / f"{k}.png").resize((8, 8), 1)) for k in range(5)
        ]
        squares = (arrays["images"].astype(float) - np.stack(pixels)) ** 2
        errors = squares.mean((1, 2, 3)) / 127.5**2
        assert np.allclose(arrays["errors"], errors, rtol=0.02)
    status, text, _ = tigon(*words, "--out", "r.png", "--json")
    values = json.loads(text)
    assert set(values["errors"]) == {f"{k}.png" for k in range(5)}
    assert values["gradient_evaluations"] == 216
    assert Image.open("r.png").size == (5 * (8 * 8 + 2) + 2, 2 * (8 * 8 + 4 + 20))


def test_interpolate_writes_a_grid_or_a_line(tigon, generator, pictures):
    status, text, _ = tigon("interpolate", generator, "--out", "grid.png")
    assert status == 0 and "z1 from -2 (left) to 2 (right), z2 from -2 (bottom) to 2" in text
    assert Image.open("grid.png").size == (82, 82)
    words = ["--from", pictures / "0.png", "--to", pictures / "1.png", "--count", "5"]
    status, text, _ = tigon("interpolate", generator, "--out", "line.png", *words)
    assert status == 0 and "0.png (left) to" in text and "1.png (right)" in text
    assert Image.open("line.png").size == (52, 12)
    status, text, _ = tigon("interpolate", generator, "--out", "arc.png", *words, "--along", "arc")
    assert status == 0 and "in even angles of z" in text


def test_interpolate_adds_what_two_folders_differ_in(tigon, generator, pictures, tmp_path):
    for name, rows in {"dark": [0, 1], "bright": [2]}.items():
        (tmp_path / name).mkdir()
        for k in rows:
            Image.open(pictures / f"{k}.png").save(tmp_path / name / f"{k}.png")
    words = ["--from", pictures / "0.png", "--minus", "dark", "--plus", "bright", "--count", "3"]
    status, text, _ = tigon("interpolate", generator, "--out", "path.png", *words)
    assert status == 0 and "by what bright has and dark has not" in text
    assert Image.open("path.png").size == (32, 12)


def test_a_run_can_be_resumed_and_made_longer(tigon, generator):
    status, out, err = tigon("resume", generator)
    assert status == 0 and out.startswith("gen: 5 iterations done") and "already finished" in err
    status, out, err = tigon("resume", generator, "--iterations", "8", "--json")
    assert status == 0 and json.loads(out)["iteration"] == 8
    assert "run gen: continues at iteration 5 of 8\n" in err
    assert "iterations = 8" in open("gen/config.toml").read()
    status, _, err = tigon("resume", generator, "--iterations", "7")
    assert status == 2 and "--iterations 7: run gen has already done 8" in err


def test_a_run_whose_checkpoints_are_lost_says_that_it_begins_anew(tigon, generator):
    shutil.rmtree("gen/checkpoints")
    status, out, err = tigon("resume", generator, "--iterations", "3")
    assert status == 0 and out.startswith("gen: 3 iterations done")
    assert "run gen has no checkpoint left: it begins anew\n" in err


def test_changed_settings_are_refused_with_the_difference_unless_asked_for(
    tigon, pictures, generator
):
    words = ["train", "generator", "--data", pictures, "--out", "gen", *LEARNED, "--sigma", "0.2"]
    status, _, err = tigon(*words)
    assert status == 2 and "sigma was 0.3, now 0.2" in err and "--continue-with" in err
    assert tigon(*words, "--continue-with")[0] == 0
    assert "sigma = 0.2" in open("gen/config.toml").read()


def test_an_end_that_is_past_already_is_refused_and_the_plan_stays(tigon, pictures, generator):
    words = ["train", "generator", "--data", pictures, "--out", "gen", *SMALL[:4]]
    before = open("gen/config.toml").read()
    for option, number in (("--iterations", 4), ("--gradient-evaluations", 6)):
        status, _, err = tigon(*words, option, number, "--continue-with")
        assert status == 2 and f"{option} {number}: run gen has already done" in err
        assert open("gen/config.toml").read() == before


def test_another_recipe_is_refused_in_a_folder_that_holds_a_run(tigon, pictures, generator):
    words = ["train", "descriptor", "--data", pictures, "--out", "gen", *LEARNED]
    for line in (words, [*words, "--continue-with"]):
        status, _, err = tigon(*line)
        assert status == 2 and err == (
            "tigon: --out gen: holds a run of generator, not of descriptor; give another folder\n"
        )


def test_a_run_without_a_report_is_learned_and_reported_later(tigon, pictures):
    words = ["train", "generator", "--data", pictures, "--out", "run", *LEARNED]
    status, out, err = tigon(*words)
    assert (status, out) == (0, "run: 5 iterations done\nno report; tigon report run writes it\n")
    assert "diagnosing" not in err and not os.path.exists("run/report.html")
    words = ["resume", "run", "--iterations", "6", "--no-report", "--json"]
    found = json.loads(tigon(*words)[1])
    assert (found["iteration"], found["report"]) == (6, None)
    assert tigon("report", "run")[0] == 0 and os.path.getsize("run/report.html") > 10_000


def test_report_can_be_written_again(tigon, generator):
    os.unlink("gen/report.html")
    status, out, _ = tigon("report", generator)
    assert status == 0 and os.path.getsize("gen/report.html") > 10_000 and "report.html" in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(tigon, verb):
    status, out, err = tigon(verb, "--help")
    assert status == 0 and verb in out and err == ""


def test_the_recipes_that_help_lists_are_those_there_are():
    assert sorted(recipe_names()) == sorted(recipes())


@pytest.mark.parametrize("line", ["--help", "trian", "train generater", "train", ""])
def test_help_and_wrong_names_are_answered_without_torch(line):
    code = (
        f"import sys; from tigon.cli.main import main; main({line.split()!r}); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'tyro')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("recipe", recipes())
def test_the_help_of_a_recipe_says_what_its_progress_shows(tigon, recipe):
    out = " ".join(tigon("train", recipe, "--help")[1].split())
    inferred = recipes()[recipe].persistent
    shown = "reconstruction error is the mean" if inferred else "gap is mean f(synthesised)"
    assert f"While it learns, {shown}" in out and "Table" not in out


def test_top_level_help_and_version(tigon):
    status, out, _ = tigon("--help")
    assert status == 0 and all(name in out for name in (*VERBS, *recipe_names()))
    assert max(map(len, out.splitlines())) <= 80
    assert tigon("--version")[1].startswith("tigon 0.")


def test_files_left_out_are_counted_and_named_on_stderr(tigon, pictures):
    (pictures / "bad.png").write_text("text")
    words = ["train", "generator", "--data", pictures, "--out", "run", *LEARNED]
    status, _, err = tigon(*words)
    assert status == 0 and "left out 1 file: bad.png is not an image" in err


def test_divergence_ends_with_status_3(tigon, pictures):
    words = ["--data", pictures, "--out", "run", *LEARNED, "--chains.step-size", "1e6"]
    status, _, err = tigon("train", "descriptor", *words)
    assert status == 3 and "diverged at iteration" in err and err.count("Traceback") == 0


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_state_and_ends_with_130(start, pictures, tmp_path, number):
    words = ["train", "generator", "--data", str(pictures), "--out", "run", *LEARNED]
    words[words.index("--iterations") + 1] = "1000000"
    process = start(
        [sys.executable, "-m", "tigon", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 180
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=180)
    err = "".join(line for line in err.splitlines(True) if not line.startswith("generator: "))
    last = json.loads(metrics.read_text().splitlines()[-1])["iteration"]
    assert process.returncode == 130 and "the same command continues" in out
    assert f"run: interrupted after {counted(last, 'iteration')}, state saved" in out
    assert err == "stopping after this iteration; interrupt again to stop now without saving it\n"
    assert (tmp_path / "run" / "checkpoints" / str(last) / "manifest.json").exists()
