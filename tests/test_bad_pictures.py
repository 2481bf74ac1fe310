"""Odd but valid data are read as a user would expect, with status 0."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bad_input import REPORTED, TINY, encoded, picture, run_watched, tree
from tigon.data.load import load_images

RED, GREY = (200, 0, 0), (100, 100, 100)


@pytest.fixture
def stay(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)


def palette():
    shown = Image.new("P", (8, 8), 1)
    shown.putpalette([0, 0, 0, *RED, 0, 0, 255] + [0] * 759)
    shown.paste(2, (0, 0, 8, 4))
    shown.save("a.png", transparency=bytes([255, 255, 0]))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: rows are columns from right to left
    shown = Image.new("RGB", (16, 16), "white")
    shown.paste("black", (0, 0, 16, 8))
    shown.save("a.jpg", exif=exif, quality=100)


def animated():
    frames = [Image.new("P", (8, 8), k) for k in range(3)]
    for frame in frames:
        frame.putpalette([*RED, 0, 255, 0, 0, 0, 255] + [0] * 759)
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])


def deep(value):
    return Image.fromarray(np.full((8, 8), value, np.uint16))


# How a picture is made, and the colours of the rows 0 and 7 of its column 0, and of row 0 of
# column 7, at 8 x 8 pixels.
ODD = {
    "16-bit PNG": (lambda: deep(25700).save("a.png"), GREY, GREY, GREY),
    "16-bit TIFF": (lambda: deep(25700).save("a.tiff"), GREY, GREY, GREY),
    "CMYK JPEG": (
        lambda: Image.new("CMYK", (8, 8), (0, 255, 255, 55)).save("a.jpg", quality=100),
        *[RED] * 3,
    ),
    "palette with alpha": (palette, (255, 255, 255), RED, (255, 255, 255)),
    "turned by EXIF": (turned, (255, 255, 255), (255, 255, 255), (0, 0, 0)),
    "1 x 1": (lambda: Image.new("RGB", (1, 1), RED).save("a.png"), RED, RED, RED),
    "20000 x 10": (lambda: Image.new("RGB", (20000, 10), RED).save("a.png"), RED, RED, RED),
    "10 x 20000": (lambda: Image.new("RGB", (10, 20000), RED).save("a.png"), RED, RED, RED),
    "animated GIF": (animated, RED, RED, RED),
    "one bit": (lambda: Image.new("1", (9, 9), 1).save("a.png"), *[(255, 255, 255)] * 3),
    "JPEG named .png": (lambda: Path("a.png").write_bytes(flat("JPEG")), GREY, GREY, GREY),
    "AVIF": (lambda: Image.new("RGB", (8, 8), GREY).save("a.avif"), GREY, GREY, GREY),
    "one image in an npz": (
        lambda: np.savez("a.npz", images=np.full((1, 5, 9), 100, np.uint8)),
        *[GREY] * 3,
    ),
    "npz in Fortran's order": (lambda: np.savez("a.npz", images=fortran()), GREY, RED, GREY),
}


def flat(kind):
    return encoded(Image.new("RGB", (8, 8), GREY), kind)


def fortran():
    images = np.full((1, 8, 8, 3), 100, np.uint8)
    images[:, 4:] = RED
    return np.asfortranarray(images)


@pytest.mark.parametrize("case", ODD)
def test_an_odd_picture_is_read_as_it_looks_and_learned_from(capsys, stay, case):
    make, *colours = ODD[case]
    make()
    (data,) = os.listdir()
    outcome = run_watched(
        capsys, "out", "train", "generator", "--data", data, "--out", "out", *TINY
    )
    assert outcome.status == 0 and "left out" not in outcome.err
    pixels = load_images(data, 8).pixels[0].astype(int)
    shown = [pixels[0, 0], pixels[7, 0], pixels[0, 7]]
    assert np.abs(np.array(shown) - np.array(colours)).max() <= 3


NAMES = [
    *("Ünïcødé.png", "猫 和 虎.png", "ببر.png", "тигр.png", "🐅.png", "-rf.png", "$(rm -r x).png"),
    *("<script>alert(1)<.png", "a;b|c&d'\".png", "two\nlines\ntigon: x.png", "\x1b[31mred.png"),
    *("caf\udce9.png", "%s%n{0}.png", "a" * 251 + ".png", "\u202egnp.png"),
]


def test_names_in_any_alphabet_are_read_and_shown_in_one_line_each(capsys, stay):
    Path("data").mkdir()
    for seed, name in enumerate(NAMES):
        Path("data", name).write_bytes(encoded(picture(seed), "PNG"))
        Path("data", f"bad {name}"[-200:]).write_bytes(b"text")
    words = ["train", "generator", "--data", "data", "--out", "out", *TINY]
    outcome = run_watched(capsys, "out", *words)
    assert outcome.status == 0 and "\x1b[31m" not in outcome.err
    left_out, learns = outcome.err.split("\n")[:2]
    assert left_out.startswith(f"left out {len(NAMES)} files: ")
    assert learns.startswith("generator: ")
    images = load_images("data", 8)
    assert len(images) == len(NAMES) and "猫 和 虎.png" in images.names
    assert "two\\nlines\\ntigon: x.png" in images.names and "caf\\udce9.png" in images.names


def test_names_of_bad_files_are_text_in_the_report(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data", "good.png").write_bytes(encoded(picture(), "PNG"))
    Path("data", "<img src=x onerror=alert(1)>.png").write_bytes(b"text")
    words = ["train", "generator", "--data", "data", "--out", "out", *REPORTED]
    assert run_watched(capsys, "out", *words).status == 0
    page = Path("out/report.html").read_text()
    assert "<img src=x" not in page and "&lt;img src=x onerror=alert(1)&gt;.png is not" in page


@pytest.fixture
def nobody(monkeypatch):
    """An empty folder, as a user whom permissions bind: root may read and write everything."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("TIGON_CACHE", str(Path(folder, "cache")))
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        yield Path(folder)
        if root:
            os.seteuid(0)
        for path in Path(folder).rglob("*"):
            if not path.is_symlink():
                path.chmod(0o777)


@pytest.fixture
def locked(nobody):
    """A folder with one readable picture among files and folders that are not."""
    inner = nobody / "data" / "inner"
    inner.mkdir(parents=True)
    for path in (nobody / "data" / "good.png", nobody / "data" / "locked.png", inner / "a.png"):
        path.write_bytes(encoded(picture(), "PNG"))
    (nobody / "data" / "locked.png").chmod(0)
    inner.chmod(0o400)  # its names can be listed, but none of its files opened
    return nobody


def test_what_may_not_be_read_is_left_out(capsys, locked):
    words = ["train", "generator", "--data", "data"]
    outcome = run_watched(capsys, "out", *words, "--out", "out", *TINY)
    assert outcome.status == 0
    assert (
        "left out 2 files: inner/a.png cannot be read (Permission denied); locked.png cannot "
        in (outcome.err)
    )
    (locked / "data" / "inner").chmod(0)
    assert "inner cannot be searched (Permission denied)" in load_images("data", 8).skipped[0]
    (locked / "data").chmod(0)
    outcome = run_watched(capsys, "o", *words, "--out", "o", *TINY)
    assert (
        outcome.status == 2
        and "data 'data': nothing in it can be read; data cannot be search" in (outcome.err)
    )


def test_where_nothing_may_be_written_is_refused(capsys, nobody, monkeypatch):
    (nobody / "good.png").write_bytes(encoded(picture(), "PNG"))
    (nobody / "shut").mkdir()
    (nobody / "shut").chmod(0o500)
    before = tree(nobody)
    words = ["train", "generator", "--data", "good.png", *TINY]
    outcome = run_watched(capsys, "shut/run", *words, "--out", "shut/run")
    assert outcome.status == 2
    assert "--out shut/run: cannot be written (Permission denied" in outcome.err
    monkeypatch.setenv("TIGON_CACHE", str(nobody / "shut" / "cache"))
    outcome = run_watched(capsys, "run", *words, "--out", "run")
    assert outcome.status == 2
    assert "shut/cache cannot be written; set TIGON_CACHE" in outcome.err
    after = {name: stat for name, stat in tree(nobody).items() if not name.startswith("cache")}
    assert after == before
