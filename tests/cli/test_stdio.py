"""Runs whose output is no longer read."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from small import SMALL
from tigon.cli.stdio import Lasting


def test_a_stream_outlives_its_reader_and_is_closed_without_an_error():
    reader, writer = os.pipe()
    with open(writer, "w", buffering=1) as file:
        stream = Lasting(file)
        print("one", file=stream, flush=True)
        assert os.read(reader, 9) == b"one\n"
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"two")
        print("two", file=stream, flush=True)
        print("three", file=file, flush=True)
        assert stream.fileno() == writer and not stream.isatty()


@pytest.mark.parametrize("kind", [os.pipe, pty.openpty])
def test_a_run_outlives_its_reader_and_saves_its_state_when_it_is_stopped(
    kind, pictures, tmp_path
):
    """As `tigon train 2>&1 | tee log` where Ctrl-C ends tee, or a terminal that is gone."""
    reader, writer = kind()
    words = ["train", "generator", "--data", str(pictures), "--out", "run", *SMALL]
    words[words.index("--iterations") + 1] = "1000000"
    process = subprocess.Popen(
        [sys.executable, "-m", "tigon", *words], cwd=tmp_path, stdout=writer, stderr=writer
    )
    os.close(writer)
    metrics = tmp_path / "run" / "metrics.jsonl"

    def written(more):
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.stat().st_size > more):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        return metrics.stat().st_size

    before = written(0)
    os.close(reader)
    written(before + 20_000)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    last = metrics.read_bytes().count(b"\n")
    assert (tmp_path / "run" / "checkpoints" / str(last) / "manifest.json").exists()
