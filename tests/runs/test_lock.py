"""One process writes in a run folder: others are refused, readers are not, and a kill frees it."""

import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from small import LEARNED, generator_recipe, image_set
from tigon.errors import TigonError
from tigon.runs import lock
from tigon.runs.experiment import train
from tigon.runs.lock import NAME, alone, local_locks
from tigon.runs.run import Experiment, Run

HOLDER = """
import sys, time
from pathlib import Path
from tigon.runs.lock import alone
with alone(Path("run")):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_refused_readers_are_not_and_a_kill_frees_the_run(
    tigon, pictures, tmp_path
):
    words = ["train", "generator", "--data", str(pictures), "--out", "run", *LEARNED]
    experiment = Experiment("generator", generator_recipe(iterations=5), str(pictures))
    train(experiment, tmp_path / "run", "cpu")
    first = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"held\n"
    said = (
        f"tigon: run run: process {first.pid} on {platform.node()} is training it; wait until "
        "that has ended, or stop it\n"
    )
    assert [tigon(*line) for line in (words, ["resume", "run"])] == [(2, "", said)] * 2
    assert tigon("sample", "run", "--count", "1", "--out", "s.npz")[0] == 0
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    assert (tmp_path / "run" / NAME).exists()
    train(experiment, tmp_path / "run", "cpu")
    assert not (tmp_path / "run" / NAME).exists()


def test_the_first_of_two_that_begin_at_once_has_the_run(tmp_path):
    experiment = Experiment("generator", generator_recipe(), "data")
    begin = {}

    def second(trainer, record):
        for folder in ("run", "other"):
            with pytest.raises(TigonError) as refused:
                train(experiment, tmp_path / folder, "cpu", images=image_set())
            begin[folder] = str(refused.value)

    (tmp_path / "other").mkdir()
    with alone(tmp_path / "other"):
        train(experiment, tmp_path / "run", "cpu", images=image_set(), callbacks=[second])
    who = f"process {os.getpid()} on {platform.node()} is training it"
    assert all(f"run {tmp_path / name}: {who}" in said for name, said in begin.items())
    assert len(begin) == 2 and Run(tmp_path / "run").records()[-1]["iteration"] == 6
    train(experiment, tmp_path / "other", "cpu", images=image_set())


def test_a_run_that_was_begun_meanwhile_is_not_begun_again(tmp_path, monkeypatch):
    experiment = Experiment("generator", generator_recipe(), "data")
    run, make = Run(tmp_path / "run"), type(experiment.recipe).trainer

    def slow(recipe, images, device, **options):
        monkeypatch.undo()
        train(experiment, run.folder, "cpu", images=images)
        return make(recipe, images, device, **options)

    monkeypatch.setattr(type(experiment.recipe), "trainer", slow)
    with pytest.raises(TigonError, match="run: another process has begun it meanwhile"):
        train(experiment, run.folder, "cpu", images=image_set())
    assert len(run.records()) == 6


def test_a_lock_is_let_go_of_by_its_end_and_by_a_copy_of_its_process(tmp_path):
    with pytest.raises(KeyError), alone(tmp_path):
        raise KeyError
    with alone(tmp_path):
        child = os.fork()
        if not child:
            time.sleep(60)
    try:
        with alone(tmp_path):
            assert os.listdir(tmp_path) == [NAME]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert os.listdir(tmp_path) == []


def test_a_link_in_place_of_the_lock_is_refused(tmp_path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / NAME).symlink_to("target")
    with pytest.raises(TigonError, match="cannot be written"), alone(tmp_path):
        pass
    assert (tmp_path / "target").read_text() == "kept"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (OSError(37, "No locks available"), "its file system has no locks (No locks available)"),
        (ImportError(), "this system has no locks"),
    ],
)
def test_where_there_are_no_locks_it_is_said(missing, said, tmp_path, monkeypatch):
    def refuse(handle):
        raise missing

    monkeypatch.setattr(lock, "lock_file", refuse)
    with warnings.catch_warnings(record=True) as found, alone(tmp_path):
        warnings.simplefilter("always")
    assert [str(warning.message) for warning in found] == [
        f"run {tmp_path}: {said}, so nothing keeps another process from writing in it"
    ]


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:30 / /nfs rw shared:2 - nfs4 server:/export rw,vers=4.2,local_lock=none
31 22 0:31 / /nfs/old\040one rw shared:3 - nfs server:/old rw,vers=3,nolock,local_lock=all
32 22 0:32 / /bucket rw - fuse.s3fs s3fs rw
33 22 0:33 / /share rw - cifs //server/share rw,vers=3.0
34 22 0:34 / /bucket/disk rw - xfs /dev/sdb rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/a", None),
        ("/nfs/run", None),
        ("/nfs/old one/run", "nfs"),
        ("/bucket/run", "fuse.s3fs"),
        ("/share/run", None),
        ("/bucket/disk/run", None),
    ],
)
def test_file_systems_whose_locks_stay_on_a_machine_are_known(folder, kind):
    assert local_locks(MOUNTS.splitlines(), Path(folder)) == kind
