"""Signals that ask for an end, wherever they come: one line, status 130, and nothing half done."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from small import LEARNED
from tigon.cli import interrupts
from tigon.cli.main import main
from tigon.data import pictures as decoding
from tigon.training.trainer import Trainer

LINE = "tigon: interrupted; what was saved is intact\n"
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def sending(number, function):
    """Return a function that sends this process a signal, once, and goes on.

    Threads call it, too: one more signal, while the first is answered, would end the process.
    """
    left = [number]

    def send(*arguments, **options):
        with suppress(IndexError):  # of the threads, one takes it
            signal.raise_signal(left.pop())
        return function(*arguments, **options)

    return send


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_while_decoding_leaves_nothing(tigon, pictures, cache, monkeypatch, number):
    before = [signal.getsignal(known) for known in ENDING]
    monkeypatch.setattr(decoding, "convert", sending(number, decoding.convert))
    words = ["train", "generator", "--data", pictures, "--out", "run", *LEARNED]
    assert tigon(*words) == (130, "", LINE)
    assert os.listdir(cache) == [] and not os.path.exists("run")
    assert [signal.getsignal(known) for known in ENDING] == before


def test_a_signal_while_learning_saves_and_one_while_reporting_leaves_the_run(
    tigon, pictures, monkeypatch
):
    """A terminal's end; Ctrl-C and SIGTERM while learning are tests/cli/test_main.py's."""
    step, number = Trainer.step, signal.SIGHUP
    words = ["train", "generator", "--data", pictures, "--out", "run", *LEARNED]
    monkeypatch.setattr(Trainer, "step", lambda self: sending(number, step)(self))
    status, out, _ = tigon(*words)
    said = "run: interrupted after 1 iteration, state saved; the same command continues\n"
    assert (status, out) == (130, said) and os.listdir("run/checkpoints") == ["1"]
    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(os, "fsync", sending(number, os.fsync))
    status, out, err = tigon("diagnose", "run")
    assert (status, out) == (130, "") and err.endswith(LINE)
    left = [name for _, folders, files in os.walk("run") for name in (*folders, *files)]
    assert not [name for name in left if name.startswith(".")]


def test_a_second_signal_ends_at_once_also_while_the_first_cleans_up(pictures, monkeypatch, capfd):
    class Ended(BaseException):
        pass

    def end(status):
        raise Ended(status)

    def slowly(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "_exit", end)
    words = ["train", "generator", "--data", str(pictures), "--out", "run", *LEARNED]
    monkeypatch.setattr("tigon.cli.learning.load", slowly)
    with pytest.raises(Ended, match="130"):
        main(words)
    assert capfd.readouterr().err == LINE


def test_a_signal_while_importing_ends_at_once(tmp_path, monkeypatch):
    """Many modules drop the exception, or go on without a part."""
    code = (
        "import signal\n"
        "try:\n    signal.raise_signal(signal.SIGTERM)\nexcept BaseException:\n    pass\n"
    )
    (tmp_path / "tyro.py").write_text(code)
    words = [sys.executable, "-m", "tigon", "sample", "run", "--out", "x"]
    paths = os.pathsep.join([str(tmp_path), *(path for path in sys.path if path)])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", LINE)


def test_signals_that_a_process_was_started_to_ignore_are_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interrupts.endable(), interrupts.interruptible() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)
