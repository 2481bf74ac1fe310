"""Mistakes and typos at the command line: status 2, and one line that says what was meant."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from small import LEARNED
from tigon.cli.main import main, named, one_line, options
from tigon.cli.verbs import Train
from tigon.recipes import GeneratorRecipe

MISTAKES = {
    "": "a verb is needed; there are demo, train",
    "fly": "no verb 'fly'; there are demo, train",
    "resume nowhere": "run nowhere: no such folder",
    "train": "train: a recipe comes first; there are generator, descriptor",
    "train genrator --data PICTURES --out a": "'genrator' (did you mean generator?); there are",
    "train --data PICTURES --out a": "train: a recipe comes first",
    "train gan --data PICTURES --out run": "gan",
    "train generator --data PICTURES": "--out",
    "train generator --data nowhere --out run": "data 'nowhere': no such folder or file",
    "train generator --data PICTURES --out run --latent-dm 3": "--latent-dm",
    "train generator --data PICTURES --out run --latent-dim two": "--latent-dim",
    "train generator --data PICTURES --out run --latent-dim 0": "latent_dim must be at least 1",
    "train generator --data PICTURES --out run --iterations 0": (
        "iterations must be at least 1, not 0"
    ),
    "train generator --data PICTURES --out run --gradient-evaluations 2": "less than one",
    "train generator --data PICTURES --out run --network.width 0": (
        "network.width must be at least 2"
    ),
    "sample RUN --out .": "--out .: has no name",
    "train generator --data PICTURES --out run --image-size 60": "the nearest are 56 and 64",
    "train generator --data PICTURES --out run --image-size 8by8": "such as 48x64, not 8by8",
    "train generator --data PICTURES --out run --network.norm layer": "--network.norm",
    "train generator --data PICTURES --out run --optimizer.learning-rate 0": "above 0",
    "train generator --data PICTURES --out run --device cuda:9": "--device cuda:9",
    "train generator --data PICTURES --out PICTURES": "is not empty and not a run",
    "sample nowhere --out a.png": "run nowhere: no such folder",
    "sample PICTURES --out a.png": "is not a run folder",
    "sample RUN --out a.jpg": "--out a.jpg: must be .npz or .png or a folder",
    "sample RUN --out a.png --count 0": "--count must be 1 to 1000000",
    "reconstruct RUN --data nowhere --out a.png": "data 'nowhere'",
    "reconstruct DESCRIPTOR --data PICTURES --out a.png": "no latents, which reconstruct needs",
    "interpolate DESCRIPTOR --out a.png": "no latents, which interpolate needs",
    "interpolate RUN --out a.npz": "--out a.npz: must be .png",
    "interpolate RUN --out a.png --from PICTURES/0.png": "give --from with either --to, or",
    "interpolate RUN --out a.png --from PICTURES/0.png --plus PICTURES": "or --minus and --plus;",
    "interpolate RUN --out a.png --minus PICTURES --plus PICTURES": "or none of them for the grid",
    "interpolate RUN --out a.png --from PICTURES --to PICTURES/0.png": "has 3 pictures; give one",
    "interpolate RUN --out a.png --from PICTURES/2.png --to PICTURES": "has 3 pictures; give one",
    "report nowhere": "run nowhere: no such folder",
    "report RUN nowhere": "run nowhere: no such folder",
    "diagnose nowhere": "run nowhere: no such folder",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A generator's and a descriptor's run, trained once, and their training pictures."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "pictures").mkdir()
    for k in range(3):
        Image.new("RGB", (8, 8), (k, 80 * k, 0)).save(folder / "pictures" / f"{k}.png")
    names = {"RUN": "generator", "DESCRIPTOR": "descriptor"}
    for name, recipe in names.items():
        words = ["train", recipe, "--data", folder / "pictures", "--out", folder / name, *LEARNED]
        assert main([str(word) for word in words]) == 0
    return {name: str(folder / name) for name in names} | {"PICTURES": str(folder / "pictures")}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_ends_with_status_2_and_one_line_that_names_it(tigon, runs, line):
    words = line
    for name, path in runs.items():
        words = words.replace(name, path)
    before = sorted(os.listdir())
    status, out, err = tigon(*words.split())
    assert status == 2
    assert MISTAKES[line] in err and "Traceback" not in err
    assert out == "" and err.startswith("tigon: ") and err.count("\n") == 1
    assert sorted(os.listdir()) == before


TYPOS = {
    "trian generator": "no verb 'trian' (did you mean train?)",
    "Export": "no verb 'Export' (did you mean export?)",
    "train generater": "no recipe 'generater' (did you mean generator?)",
    "train descriptor_original": "(did you mean descriptor-original?)",
    "GENERATOR --itertions 3": "unknown option --itertions (did you mean --iterations?); see",
    "GENERATOR --itertions=3": "unknown option --itertions (did you mean --iterations?); see",
    "GENERATOR --lr 1 --epochs 2": "unknown options --lr (did you mean --optimizer.learning-rate?)"
    ", --epochs (did you mean --iterations?); see tigon train generator --help",
    "GENERATOR --learning_rate 1": "--learning_rate (did you mean --optimizer.learning-rate?)",
    "GENERATOR --resolution 64 --train_data_dir x": "--resolution (did you mean --image-size?), "
    "--train_data_dir (did you mean --data?); see tigon train generator --help",
    "GENERATOR --resume_from_checkpoint last": "unknown option --resume_from_checkpoint (did you "
    "mean tigon resume RUN?); see tigon train generator --help",
    "GENERATOR --output-dir=x": "unknown option --output-dir (did you mean --out?); see",
    "resume RUN --epochs 3": "unknown option --epochs (did you mean --iterations?); see",
    "sample RUN --out a.png --resolution 9": "unknown option --resolution; see tigon sample",
    "GENERATOR --kernel_size 5": "--kernel_size (did you mean --network.kernel-size?)",
    "GENERATOR --no-expnd": "--no-expnd (did you mean --no-expand?)",
    "GENERATOR --zzzz 1": "unknown option --zzzz; see",
    "GENERATOR stray": "stray is more than was asked for: an option takes one value",
    "sample RUN --outt a.png": "unknown option --outt (did you mean --out?); see tigon sample",
    "sample RUN --out a.png --cnt 3": "unknown option --cnt (did you mean --count?); see",
    "interpolate RUN --out a.png --form b.png": "unknown option --form (did you mean --from?)",
}


@pytest.mark.parametrize("line", TYPOS)
def test_a_mistyped_word_is_answered_with_the_one_that_was_meant(tigon, line):
    words = line.replace("GENERATOR", "train generator --data x --out run").split()
    status, out, err = tigon(*words)
    assert status == 2 and TYPOS[line] in err and err.count("\n") == 1 and out == ""


@pytest.fixture(scope="module")
def known():
    """The options of `tigon train generator`."""
    return sorted(options(Train[GeneratorRecipe], ["train"]))


@given(st.data())
def test_an_option_with_one_wrong_letter_is_known_again(known, data):
    name = data.draw(st.sampled_from([name for name in known if len(name) >= 8]))
    place = data.draw(st.integers(3, len(name) - 1))
    letters = data.draw(st.sampled_from(["", "x", 2 * name[place]]))
    wrong = name[:place] + letters + name[place + 1 :]
    answer = named("Unrecognized options: it", [wrong], known)
    wanted = f"unknown option {wrong} (did you mean {name}?)"
    assert (
        answer.startswith("it is more than was asked for") if wrong in known else answer == wanted
    )


@given(st.lists(st.text(max_size=9).map(lambda word: f"--{word}"), max_size=3))
def test_any_words_get_an_answer_that_names_those_that_are_unknown(known, words):
    answer = named("Unrecognized options: it", words, known)
    unknown = [word.split("=")[0] for word in words if word.split("=")[0] not in known]
    assert all(word in answer or word.replace("_", "-") in known for word in unknown)


BOXES = {
    "drawn": "╭─ Title ─╮\n│ It is   │\n│ wrong.  │\n│ ─────── │\n│ hint    │\n╰─────────╯\n",
    "plain": " Title   \n --------- \n  It is   \n  wrong.  \n  -------- \n  hint\n   \n",
    "colour": "\x1b[31m╭─\x1b[0m \x1b[1mTitle ─╮\n│\x1b[m It\x1b[m is   │\n│ wrong │\n╰────╯",
    "bare": "It is wrong.\n",
}


@pytest.mark.parametrize("box", BOXES)
def test_a_box_becomes_a_line(box):
    assert one_line(BOXES[box]) == "It is wrong"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_all_that_is_wrong_with_a_line_is_said_in_one_sentence(encoding, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tigon", "train", "generator", "--data", "x", "--latentdim", "3"],
        env=os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "tigon: train: Missing from tigon train generator: --out PATH the run folder (required); "
        "unknown option --latentdim (did you mean --latent-dim?); see tigon train generator "
        "--help\n"
    )


def test_help_whose_reader_goes_away_is_no_mistake():
    words = [sys.executable, "-m", "tigon", "train", "generator", "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        asked.stdout.close()
        assert asked.stderr.read() == b"" and asked.wait() == 0
