"""A run that can only be read, as another user's on a server: nothing is written in it."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bad_input import run_watched
from learned import run_of


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A copy of a run on a read-only disk, which root mounts, or that nobody may write in."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_of("generator"), "run")
    if os.geteuid():
        for path in [Path("run"), *Path("run").rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        yield Path("run")
        for path in [Path("run"), *Path("run").rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        return
    for options in (["--bind", "run", "run"], ["-o", "remount,bind,ro", "run"]):
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            pytest.skip("mounting is refused here, and root may write anywhere")
    yield Path("run")
    subprocess.run(["umount", "--lazy", "run"], check=True)


def test_it_is_reported_elsewhere_diagnosed_and_printed(run, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = run_watched(capsys, "page.html", "report", run, "--out", "page.html")
    assert found.status == 0 and found.out == f"report: {Path('page.html').resolve()}\n"
    assert "<img" in Path("page.html").read_text()
    found = run_watched(capsys, "nothing", "diagnose", run, "--long", "1")
    assert found.status == 0 and "verdict: run is too short to judge" in found.out
    assert "run run: is read-only; diagnosis.json and figures are not written\n" in found.err
    assert "figure: " not in found.out
    pixels = np.random.default_rng(5).integers(0, 256, (3, 8, 8, 3), np.uint8)
    np.savez("unseen.npz", images=pixels)
    words = ("evaluate", run, "--data", "unseen.npz", "--starts", "1")
    found = run_watched(capsys, "nothing", *words)
    assert found.status == 0 and "reconstructions of 3 held-out images" in found.out
    assert "run run: is read-only; evaluation.json is not written\n" in found.err
    found = run_watched(capsys, "s.npz", "sample", run, "--count", "2", "--out", "s.npz")
    assert found.status == 0 and found.out == "2 images: s.npz\n"
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_what_has_to_be_written_in_it_is_refused_in_one_line_at_once(run, capsys):
    found = run_watched(capsys, "nothing", "report", run)
    line = "tigon: run run: cannot be written; give --out PAGE.html elsewhere\n"
    assert (found.status, found.out, found.err) == (2, "", line)
    found = run_watched(capsys, "run", "resume", run, "--iterations", "9")
    assert found.status == 2 and "cannot be written (" in found.err


def test_a_page_elsewhere_leaves_any_run_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_of("descriptor"), "run")
    before = sorted(Path("run").rglob("*"))
    assert run_watched(capsys, "page.html", "report", "run", "--out", "page.html").status == 0
    assert sorted(Path("run").rglob("*")) == before
