"""Bad files beside a run's config and checkpoints: refused in one line, and nothing is written
through them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bad_input import (
    Bomb,
    check,
    copied_run,
    encoded,
    learned,
    member,
    picture,
    run_watched,
    says,
    write_zip,
)
from tigon.files import replace_file
from tigon.runs.run import Experiment, Run

SAMPLE = "sample run --count 2 --out s.npz"
REPORT, DIAGNOSE = "report run", "diagnose run"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run, as `run` in an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return copied_run(tmp_path)


def records(run):
    return (run / "metrics.jsonl").read_text().splitlines()


def third(run, record):
    lines = records(run)
    (run / "metrics.jsonl").write_text("\n".join([*lines[:1], record, *lines[1:]]) + "\n")


METRICS = {
    "damaged in the middle": (
        '{"iteration": 2, "sec',
        "metrics.jsonl, line 2: is not a record of an",
    ),
    "a list": ("[1, 2]", "metrics.jsonl, line 2: is not a record"),
    "iteration a word": ('{"iteration": "two"}', "metrics.jsonl, line 2: is not a record"),
    "brackets": ("[" * 9999, "metrics.jsonl, line 2: is not a record"),
    "without its numbers": ('{"iteration": 2}', "metrics.jsonl"),
    "with words for numbers": (None, "metrics.jsonl"),
}


@pytest.mark.parametrize("case", METRICS)
@pytest.mark.parametrize("line", [REPORT, DIAGNOSE])
def test_metrics_that_are_damaged_are_refused(capsys, run, case, line):
    record, said = METRICS[case]
    words = {name: "x" for name in json.loads(records(run)[0])} | {"iteration": 2}
    third(run, record or json.dumps(words))
    outcome = run_watched(capsys, "run", *line.split())
    assert outcome.status == 2 and says(outcome, said), outcome.err


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 9999, '{"images": 5}', '{"images": {}}'])
def test_an_environment_that_is_damaged_is_passed_over_or_refused(capsys, run, text):
    (run / "environment.json").write_text(text)
    outcome = run_watched(capsys, "run", *REPORT.split())
    assert outcome.status == (2 if "images" in text else 0)
    assert outcome.status == 0 or says(outcome, "images have changed since the run run began")


PLACES = {
    "config.toml": (SAMPLE, "config.toml: cannot be read .*is not a regular file"),
    "checkpoints/3/manifest.json": (SAMPLE, "checkpoints/3 is damaged .*is not a regular file"),
    "checkpoints/3/training.pt": (SAMPLE, "checkpoints/3 is damaged .*is not a regular file"),
    "checkpoints/3/model.safetensors": (
        SAMPLE,
        "checkpoints/3 is damaged .*is not a regular file",
    ),
    "metrics.jsonl": (REPORT, "metrics.jsonl: cannot be read .*is not a regular file"),
    "snapshots/2.npz": (REPORT, "snapshots/2.npz: is damaged; delete it .*is not a regular file"),
    "environment.json": (REPORT, ""),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_an_endless_device_in_the_place_of_a_file_is_not_read(capsys, run, place, kind):
    """A pipe that nobody writes to would block for ever."""
    (run / place).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(run / place)
    else:
        (run / place).symlink_to("/dev/zero")
    line, said = PLACES[place]
    outcome = run_watched(capsys, "run", *line.split())
    assert outcome.status == (2 if said else 0)
    assert not said or says(outcome, said), outcome.err


SNAPSHOTS = {
    "pickled objects": np.array([Bomb("exploded")], dtype=object),
    "floats": np.ones((3, 8, 8, 3)),
    "another shape": np.ones((3, 8), np.uint8),
}


@pytest.mark.parametrize("case", SNAPSHOTS)
def test_a_snapshot_that_shows_no_images_is_refused(capsys, run, case):
    np.savez(run / "snapshots" / "2.npz", images=SNAPSHOTS[case])
    outcome = run_watched(capsys, "run", *REPORT.split())
    assert outcome.status == 2 and says(
        outcome, "snapshot run/snapshots/2.npz: is damaged; delete"
    )
    assert not Path("exploded").exists()


def test_members_of_a_snapshot_are_never_written_anywhere(capsys, run):
    stack = member(np.full((3, 8, 8, 3), 9, np.uint8))
    write_zip(run / "snapshots" / "2.npz", {"../../evil.npy": stack, "images.npy": stack})
    assert run_watched(capsys, "run", *REPORT.split()).status == 0
    assert not Path("evil.npy").exists()


def test_links_in_a_run_folder_are_replaced_and_not_written_through(capsys, run):
    victim = run.parent / "victim"
    victim.write_text("mine")
    for name in ("report.html", ".new-report.html", "diagnosis.json", "figures/latents.png"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(victim)
    assert run_watched(capsys, "run", *REPORT.split()).status == 0
    assert victim.read_text() == "mine"


def test_a_run_whose_data_are_gone_or_others_says_so(capsys, run):
    path, gone = str(learned() / "data.npz"), str(learned() / "gone")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(path, gone))
    assert check(capsys, run, SAMPLE, "").status == 0
    check(capsys, run, REPORT, "data '.*/gone': no such folder or file; give a folder", "run")
    Path("other.png").write_bytes(encoded(picture(9), "PNG"))
    (run / "config.toml").write_text(config.replace(path, str(run.parent / "other.png")))
    check(capsys, run, REPORT, r"images have changed .* \(3 then, 1 now\); restore them", "run")


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "loop"])
def test_data_of_a_name_that_no_file_can_have_stay_as_they_are_named(capsys, run, name):
    Path("loop").symlink_to("loop")
    experiment = Experiment("generator", Run(run).experiment.recipe, name)
    assert experiment.to_plain()["data"] == name
    assert Experiment.from_plain(experiment.to_plain()) == experiment


LINES = {
    "sample data.npz --out s.npz": "run data.npz: ",
    "sample data.npz/run --out s.npz": "run data.npz/run: no such folder",
    "sample run --out file/s.png": r"--out file/s.png: cannot be written \(",
    "sample run --out /proc/nowhere/s.png": r"--out /proc/nowhere/s.png: cannot be written \(",
    "sample run --out run": "--out run: exists and is not an empty folder; give another",
    f"sample run --out {'a' * 300}.npz": r"--out a+.npz: cannot be written \(.*name too long",
    "reconstruct run --data bomb.npz --out s.npz": r"its images are object \(1,\)",
    "interpolate run --from bomb.npz --to bomb.npz --out s.png": r"its images are object \(1,\)",
}


@pytest.mark.parametrize("line", LINES)
def test_a_run_or_an_out_that_cannot_be_is_refused(capsys, run, line):
    Path("file").touch()
    np.savez("bomb.npz", images=np.array([Bomb("exploded")], dtype=object))
    check(capsys, run, line, LINES[line], line.split()[-1] if "--out" in line.split()[-2] else "s")
    assert not Path("exploded").exists()


def test_an_out_whose_name_is_no_utf8_is_written_and_shown(capsys, run):
    outcome = run_watched(capsys, "caf\udce9.npz", *SAMPLE.split()[:-1], "caf\udce9.npz")
    assert outcome.status == 0 and "caf\\udce9.npz" in outcome.out


def test_a_file_is_replaced_whole_and_links_are_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    for name in ("a", ".new-a"):
        (tmp_path / name).symlink_to("victim")
    replace_file(tmp_path / "a", "text")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink() and (tmp_path / "a").read_text() == "text"
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError):
        replace_file(tmp_path / "b", b"text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "victim"]


def test_more_images_than_memory_holds_are_refused_at_once(capsys, run, monkeypatch):
    monkeypatch.setattr("tigon.cli.drawing.RowRng", None)
    line = f"sample run --count {10**12} --out s.npz"
    check(capsys, run, line, "--count must be 1 to 1000000")
