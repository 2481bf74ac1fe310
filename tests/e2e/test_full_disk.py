"""A full disk: one line that says where and what to do, and nothing that was saved is lost.

Each test has its own small tmpfs, which only root may mount.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from small import descriptor_recipe, generator_recipe
from tigon.cli.main import main
from tigon.errors import TigonError
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.checkpoint_folder import damage, measured, numbered

SMALL = ["--image-size", "8", "--network.width", "4", "--batch-size", "2"]
REMEDY = "free some space, and the same command goes on"


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tigon-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is refused here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left: int = 0) -> Path:
    """Fill a disk but for `left` KiB; returns what takes the room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(2**16)) == 2**16:
                pass
            file.write(b"x")
        except OSError:
            pass
        file.truncate(max(0, file.tell() // 1024 - left) * 1024)
    return ballast


def refused(capfd, words: list[str]) -> str:
    """Run a command line that fails on a full disk; return its one line."""
    capfd.readouterr()
    status = main([str(word) for word in words])
    out, err = capfd.readouterr()
    progress = ("generator: iteration", "running chains")  # a line where it takes long
    lines = [line for line in err.splitlines() if not line.startswith(progress)]
    assert status == 2 and out == "", err
    assert len(lines) == 1 and lines[0].startswith("tigon: "), err
    assert "No space left" in lines[0]
    return lines[0]


def state(run: Run) -> dict:
    """Return all of a run that does not depend on the clock."""
    weights = sorted(run.checkpoints.rglob("*.safetensors"))
    return {
        "files": {str(p.relative_to(run.folder)): p.read_bytes() for p in weights},
        "records": [record | {"seconds": 0} for record in run.records()],
        "measures": [measured(path) for path in numbered(run.checkpoints)],
        "snapshots": [(number, pixels.tolist()) for number, pixels in run.snapshots()],
    }


RECIPES = {
    "generator": generator_recipe(batch_size=2, iterations=12),
    "descriptor": descriptor_recipe(batch_size=2, iterations=12),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_on_a_full_disk_stops_with_a_line_and_goes_on_bit_by_bit_when_there_is_room(
    disk, tmp_path, pictures, name
):
    """With so many KiB left, one file or another of a checkpoint is the one that finds no room."""
    whole = learned(name, pictures, tmp_path / "whole", every=2)
    for left in (0, 8, 24):
        assert interrupted(disk, whole, left, at=4, every=2) in ("checkpoint", "environment.json")


def test_a_record_that_finds_no_room_is_taken_again(disk, tmp_path, pictures):
    whole = learned("generator", pictures, tmp_path / "whole", every=20, iterations=40)
    assert interrupted(disk, whole, 0, at=21, every=20) == "metrics.jsonl"


def learned(name: str, pictures: Path, out: Path, every: int, **changes) -> Run:
    recipe = replace(RECIPES[name], **changes)
    train(Experiment(name, recipe, str(pictures)), out, checkpoint_every=every)
    return Run(out)


def interrupted(disk: Path, whole: Run, left: int, at: int, every: int) -> str:
    """Make a run whose disk is full after `at` iterations, then has room; return what failed."""
    out = disk / f"run{left}"

    def fills(trainer, record):
        if trainer.iteration == at:
            fill(disk, left)

    with pytest.raises(TigonError, match="No space left") as found:
        train(whole.experiment, out, checkpoint_every=every, callbacks=[fills])
    kept = numbered(Run(out).checkpoints)
    assert kept and all(damage(path) is None for path in kept)
    Run(out).learner()
    fill(disk)
    with pytest.raises(TigonError, match=f"No space left.*{REMEDY}"):  # there is no room yet
        train(whole.experiment, out, checkpoint_every=every)
    assert all(damage(path) is None for path in kept)
    (disk / "ballast").unlink()
    train(whole.experiment, out, checkpoint_every=every)
    assert state(Run(out)) == state(whole)
    assert not list(out.rglob(".new-*"))
    return told(found.value)


def told(error: TigonError) -> str:
    """Return what could not be written, of a line that also says what to do."""
    text = str(error)
    assert REMEDY in text and "\n" not in text and "intact" in text
    places = ("metrics.jsonl", "environment.json", ".npz", "checkpoint /")
    return next(place for place in places if place in text).strip(" /")


def test_a_run_that_cannot_begin_leaves_nothing_and_begins_when_there_is_room(
    disk, tmp_path, pictures, capfd
):
    ballast, out = fill(disk), disk / "run"
    words = ["train", "generator", "--data", pictures, "--out", out, *SMALL, "--iterations", "2"]
    assert f"--out {out}: cannot be written" in (line := refused(capfd, words)) and REMEDY in line
    assert not out.exists() or not list(out.iterdir())
    ballast.unlink()
    assert main([str(word) for word in words]) == 0


def test_an_image_cache_on_a_full_disk_is_named_and_left_as_it_was(
    disk, tmp_path, pictures, capfd, monkeypatch
):
    monkeypatch.setenv("TIGON_CACHE", str(disk / "cache"))
    ballast, out = fill(disk), tmp_path / "run"
    words = ["train", "generator", "--data", pictures, "--out", out, *SMALL, "--iterations", "2"]
    assert "image cache" in (line := refused(capfd, words)) and str(disk) in line
    assert not out.exists() and not list(disk.rglob(".new-*"))
    ballast.unlink()
    assert main([str(word) for word in words]) == 0


def test_a_report_a_diagnosis_and_samples_on_a_full_disk_are_refused_and_the_old_ones_stay(
    disk, tmp_path, pictures, capfd, monkeypatch
):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    out = disk / "run"
    train(Experiment("generator", RECIPES["generator"], str(pictures)), out)
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_bytes()
    files = {path for path in disk.rglob("*")}
    ballast = fill(disk, left=4)
    for words in (["report", out], ["diagnose", out]):
        assert REMEDY in (line := refused(capfd, words)) and str(out) in line
    for name in ("s.npz", "s.png", "s"):
        line = refused(capfd, ["sample", out, "--count", "200", "--out", disk / name])
        assert f"--out {disk / name}: cannot be written" in line and REMEDY in line
    assert (out / "report.html").read_bytes() == page
    ballast.unlink()
    assert {path for path in disk.rglob("*")} == files
    assert main(["report", str(out)]) == 0
