"""What was passed over, left out or converted is said once on stderr, and stands in the report."""

from pathlib import Path

import pytest
from PIL import Image

from tigon.cli import learning

TINY = ["--image-size", "8", "--network.width", "2", "--iterations", "1", "--chains.steps", "2"]


@pytest.fixture
def messy(pictures):
    """Five pictures, a stack of three pages, a video, and a picture of 300 x 100 pixels."""
    shades = [Image.new("L", (9, 9), 80 * k) for k in (1, 2, 3)]
    shades[0].save(pictures / "stack.tif", save_all=True, append_images=shades[1:])
    (pictures / "clip.mp4").write_bytes(b"")
    Image.new("RGB", (300, 100), "red").save(pictures / "huge.png")
    return pictures


SAID = (
    "left out 1 file: huge.png has too many pixels; --max-pixels 30000 reads it (the limit is "
    "20000)",
    "passed over 1 video (.mp4); ffmpeg -i A.mp4 -vf fps=1 A-%05d.png makes pictures of one",
    "of 1 picture (stack.tif), the first of several pages or frames is read; --frames all reads "
    "every one",
)


def test_the_verbs_that_read_data_say_what_they_did_not_take(tigon, messy, monkeypatch):
    """The run is inside the data, as where people start tigon in their folder of pictures."""
    run, limit = messy / "run", ["--max-pixels", "20000"]
    status, _, err = tigon("train", "generator", "--data", messy, "--out", run, *TINY, *limit)
    assert status == 0 and "generator: 6 images of 8x8x3" in err
    assert [err.count(f"{line}\n") for line in SAID] == [1, 1, 1]
    page = (run / "report.html").read_text()
    assert all(line.removeprefix("left out 1 file: ") in page for line in SAID)

    monkeypatch.setattr(learning, "write_report", lambda run: run.folder / "report.html")
    status, _, err = tigon("resume", run, "--iterations", "2")
    assert status == 0 and "generator: 6 images of 8x8x3" in err
    assert err.count("left out 1 run folder (run)\n") == 1

    words = ["reconstruct", run, "--data", messy, "--starts", "1", "--out", "r.npz", *limit]
    status, out, err = tigon(*words)
    assert status == 0 and "over 6 images" in out and all(f"{line}\n" in err for line in SAID)
    status, out, err = tigon(*words[:-2], "--frames", "all")
    assert status == 0 and "over 9 images" in out and "stack.tif[2]: " in out
    assert "stack.tif" not in err and "huge.png" not in err


def test_a_model_learns_from_every_page_where_all_are_asked_for(tigon, messy, monkeypatch):
    monkeypatch.setattr(learning, "write_report", lambda run: run.folder / "report.html")
    words = ["--data", messy, "--out", "run", *TINY, "--frames", "all"]
    status, _, err = tigon("train", "generator", *words)
    assert status == 0 and "generator: 9 images of 8x8x3" in err and "stack.tif" not in err
    assert 'frames = "all"' in Path("run/config.toml").read_text()
    status, _, err = tigon("train", "generator", *words, "--max-pixels", "0", "--out", "other")
    assert (status, err) == (2, "tigon: train: max_pixels is at least 1, not 0\n")
