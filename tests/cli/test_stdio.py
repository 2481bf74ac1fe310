"""Runs whose output is no longer read."""

import io
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from small import LEARNED, SMALL
from tigon.cli.main import main
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


NAMES = ["b\N{LATIN SMALL LETTER A WITH DIAERESIS}r", "\N{CJK UNIFIED IDEOGRAPH-65E5}"]


def test_matplotlib_has_no_lines_of_its_own_and_warnings_have_one(tmp_path):
    code = (
        "import logging, warnings; from tigon.cli.stdio import quiet; quiet();"
        "import matplotlib.font_manager; "  # tells that it cannot write here
        "logging.getLogger('matplotlib.font_manager').warning('building the font cache');"
        "warnings.warn('Glyph 26085 (a letter) missing from font(s) DejaVu Sans.');"
        "warnings.warn('said', RuntimeWarning)"
    )
    (tmp_path / "file").touch()
    places = {"MPLCONFIGDIR": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=os.environ | places, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "RuntimeWarning: said\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_names_beyond_the_encoding_of_a_stream_are_escaped(
    encoding, monkeypatch, pictures, tmp_path
):
    """Progress, results, what is left out, and mistakes; the streams stay as they were."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        (pictures / f"{name}.png").write_text("text")
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    words = ["train", "generator", "--data", str(pictures), "--out", NAMES[1], *SMALL]
    statuses = [main(words), main(["resume", NAMES[0]]), main([NAMES[0]])]
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    shown = NAMES[0] if encoding != "ascii" else r"b\xe4r"
    assert statuses == [0, 2, 2] and [stream.errors for stream in streams] == ["strict"] * 2
    assert out.startswith("\\u65e5: 5 iterations done\nreport: ")
    assert f"left out 2 files: {shown}.png is not an image; \\u65e5.png is not an image\n" in err
    assert f"tigon: run {shown}: no such folder\ntigon: no verb '{shown}'; there are" in err


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [("<&- >&- 2>&-", "", ""), ("2>&-", "out\n", ""), (">&-", "", "err\nmore")],
)
def test_a_start_without_streams_is_a_start(closed, out, err, tmp_path):
    """What is meant for stderr goes into no file that took its number."""
    code = (
        "import os, sys; from tigon.cli.stdio import open_closed; open_closed(); "
        "file = os.open('file', os.O_CREAT | os.O_WRONLY); print('out'); "
        "print('err', file=sys.stderr, flush=True); os.write(2, b'more'); sys.exit(file < 3)"
    )
    line = f'"{sys.executable}" -c "{code}" {closed}'
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "file").read_text() == ""
    assert (done.stdout, done.stderr) == (out, err)


@pytest.mark.parametrize("kind", [os.pipe, pytest.param(pty.openpty, marks=pytest.mark.slow)])
def test_a_run_outlives_its_reader_and_saves_its_state_when_it_is_stopped(
    kind, start, pictures, tmp_path
):
    """As `tigon train 2>&1 | tee log` where Ctrl-C ends tee, or a terminal that is gone."""
    reader, writer = kind()
    words = ["train", "generator", "--data", str(pictures), "--out", "run", *LEARNED]
    words[words.index("--iterations") + 1] = "1000000"
    process = start(
        [sys.executable, "-m", "tigon", *words], cwd=tmp_path, stdout=writer, stderr=writer
    )
    os.close(writer)
    metrics = tmp_path / "run" / "metrics.jsonl"

    def written(more):
        deadline = time.monotonic() + 180
        while not (metrics.exists() and metrics.stat().st_size > more):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        return metrics.stat().st_size

    before = written(0)
    os.close(reader)
    written(before + 20_000)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=180) == 130
    last = metrics.read_bytes().count(b"\n")
    assert (tmp_path / "run" / "checkpoints" / str(last) / "manifest.json").exists()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["sample", "--help"]])
def test_help_whose_reader_has_gone_ends_without_a_word(words):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "tigon", *words],
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    assert (done.returncode, done.stderr) == (0, "")
