"""Bad data: every kind is left out by name, or refused in one line with status 2."""

import os
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from bad_input import (
    TINY,
    Bomb,
    encoded,
    member,
    picture,
    png_claiming,
    run_watched,
    says,
    tree,
    write_zip,
)
from tigon.cli import learning
from tigon.data.load import load_images

JPEG = encoded(picture(), "JPEG")
PNG = encoded(picture(), "PNG")
STACK = np.full((2, 8, 8, 3), 9, np.uint8)


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Reports have tests of their own, and take longer than all else here."""
    monkeypatch.setattr(learning, "write_report", lambda run: run.folder / "report.html")


@pytest.fixture
def train(capsys, tmp_path, monkeypatch):
    """Train on `data` in an empty folder, in `out`."""
    monkeypatch.chdir(tmp_path)

    def run(data, *words, out="out"):
        return run_watched(
            capsys, out, "train", "generator", "--data", data, "--out", out, *TINY, *words
        )

    return run


# What a file in a folder of images is, and what is said of it: its name comes first.
BAD_FILES = {
    "truncated JPEG": ("a.jpg", JPEG[: len(JPEG) - 200], r"cannot be read \(.*[Tt]runcated"),
    "JPEG cut in its header": ("a.jpg", JPEG[:300], r"cannot be read \("),
    "truncated PNG": ("a.png", PNG[: len(PNG) // 2], r"cannot be read \(.*truncated"),
    "zero bytes": ("a.png", b"", "is not an image"),
    "text named .png": ("a.png", b"this is text", "is not an image"),
    "web page named .jpg": ("a.jpg", b"<html><script>alert(1)</script>", "is not an image"),
    "EPS, which is a program": ("a.png", encoded(picture(), "EPS"), "is not an image"),
    "PDF, which is a program": ("a.png", encoded(picture(), "PDF"), "is not an image"),
    "decompression bomb": ("a.png", png_claiming(60000, 60000), "has too many pixels"),
    "large decompression bomb": ("a.png", png_claiming(2**31 - 1, 9), "has too many pixels"),
    "endless side": ("a.png", png_claiming(10_000_000, 1), "has too many pixels"),
    "header without pixels": ("a.png", png_claiming(60, 60), r"cannot be read \("),
    "float pixels beyond their range": (
        "a.tiff",
        encoded(Image.new("F", (9, 9), 700.0), "TIFF"),
        r"cannot be read \(float pixels from 700 to 700, outside \[0, 1\] and \[0, 255\]\)",
    ),
}
BAD_PATHS = {
    "symlink loop": ("symlink", "a.png", r"cannot be read \(Too many levels of symbolic links\)"),
    "broken symlink": ("symlink", "nowhere.png", r"cannot be read \(No such file"),
    "pipe": ("pipe", "", "is not a regular file"),
    "symlink to a device": ("symlink", "/dev/zero", "is not a regular file"),
}


def spoil(folder, case):
    """Put the file of a case into a folder; returns its name and what is said of it."""
    if case in BAD_FILES:
        name, data, said = BAD_FILES[case]
        (folder / name).write_bytes(data)
        return name, said
    kind, target, said = BAD_PATHS[case]
    if kind == "pipe":
        os.mkfifo(folder / "a.png")
    else:
        (folder / "a.png").symlink_to(target)
    return "a.png", said


@pytest.mark.parametrize("case", [*BAD_FILES, *BAD_PATHS])
def test_a_bad_file_is_left_out_with_a_count_and_its_name(train, tmp_path, case):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "good.png").write_bytes(PNG)
    name, said = spoil(tmp_path / "data", case)
    outcome = train("data")
    assert outcome.status == 0
    assert re.match(f"left out 1 file: {name} {said}", outcome.err), outcome.err
    assert load_images("data", 8).names == ["good.png"]


@pytest.mark.parametrize("case", [*BAD_FILES, *BAD_PATHS])
def test_a_folder_of_nothing_but_a_bad_file_is_refused(train, tmp_path, case):
    (tmp_path / "data").mkdir()
    name, said = spoil(tmp_path / "data", case)
    before = tree(tmp_path)
    outcome = train("data")
    assert outcome.status == 2 and says(outcome, f"can be read; {name} {said}")
    assert tree(tmp_path) == before


REFUSED = {
    "no such folder": (lambda p: "nowhere", "data 'nowhere': no such folder or file; give a"),
    "no name": (lambda p: "", "data '': is empty; give a folder"),
    "too long a name": (lambda p: "a" * 5000, r"data 'a+': cannot be read \(File name too long\)"),
    "below a file": (lambda p: put(p / "f", b"x") and "f/data", "no such folder or file"),
    "device": (lambda p: "/dev/zero", "data '/dev/zero': is neither a folder nor a file"),
    "unknown embedded set": (lambda p: "embedded:plants", "there is only animal-faces"),
    "name that is no UTF-8": (lambda p: put(p / "\udce9.png", PNG), "is not valid UTF-8; rename"),
    "empty folder": (lambda p: folder(p / "data"), "data 'data': no images in this folder"),
    "folder of hidden files": (
        lambda p: put(folder(p / "data") / ".a.png", PNG) and "data",
        "no im",
    ),
    "folder in a loop": (lambda p: looped(p / "data"), "data 'data': no images in this folder"),
    "symlink to itself": (lambda p: link(p / "data", "data"), r"cannot be read \(Too many levels"),
    "npz of text": (lambda p: put(p / "a.npz", b"text"), "a.npz': is not a readable .npz"),
    "npz of zero bytes": (lambda p: put(p / "a.npz", b""), "a.npz': is not a readable .npz"),
    "npz cut short": (lambda p: cut(npz(p, images=STACK)), "a.npz': is not a readable .npz"),
    "npz of floats": (lambda p: npz(p, images=STACK / 255), "its images are float64"),
    "npz of signed bytes": (lambda p: npz(p, images=STACK.astype("i1")), "its images are int8"),
    "npz of four channels": (lambda p: npz(p, images=np.zeros((2, 8, 8, 4), "u1")), "uint8.*8, 4"),
    "npz of one number": (lambda p: npz(p, images=np.uint8(3)), r"its images are uint8 \(\)"),
    "npz of no images": (lambda p: npz(p, images=STACK[:0]), r"uint8 \(0, 8, 8, 3\)"),
    "npz of other names": (lambda p: npz(p, pictures=STACK), r"it has \['pictures'\]"),
    "npz of nothing": (lambda p: zipped(p, {}), "it has nothing"),
    "npz with pickled objects": (lambda p: npz(p, images=bombs(p)), r"its images are object \(1,"),
    "npz of raw bytes": (lambda p: zipped(p, {"images": b"raw"}), "is not a readable .npz"),
    "npz of deep brackets": (
        lambda p: zipped(p, {"images.npy": deep()}),
        "is not a readable .npz",
    ),
    "npz that claims a petabyte": (
        lambda p: zipped(p, {"images.npy": member(STACK, (2**40, 32, 32))}),
        "bytes that claim to be 1125899906842624 of images; such an archive is not opened",
    ),
    "npz shorter than its shape": (
        lambda p: zipped(p, {"images.npy": member(STACK, (3, 8, 8, 3))}),
        "its images are cut short",
    ),
    "npz longer than its shape": (
        lambda p: zipped(p, {"images.npy": member(STACK, (1, 8, 8, 3))}),
        "its images are longer than their shape",
    ),
    "npz with names that climb": (
        lambda p: zipped(p, {"../evil.npy": member(STACK), "/tmp/evil.npy": member(STACK)}),
        r"it has \['../evil', '/tmp/evil'\]",
    ),
    "npz with an endless side": (
        lambda p: npz(p, images=np.zeros((1, 1, 200_000), "u1")),
        r"none of 1 images can be read; a.npz\[0\] has too many pixels",
    ),
}


def put(path, data):
    path.write_bytes(data)
    return path.name


def folder(path):
    path.mkdir()
    return path


def link(path, target):
    path.symlink_to(target)
    return path.name


def looped(path):
    folder(path / "deep" if path.mkdir() else path / "deep")
    (path / "deep" / "back").symlink_to(path)
    return path.name


def npz(path, **arrays):
    np.savez_compressed(path / "a.npz", **arrays)
    return path / "a.npz"


def zipped(path, members):
    write_zip(path / "a.npz", members)
    return path / "a.npz"


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])
    return path


def bombs(path):
    array = np.empty(1, object)
    array[0] = Bomb(path / "exploded")
    return array


def deep():
    header = ("{'descr': " + "(" * 3000).ljust(9999) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_cannot_be_used_are_refused_in_one_line(train, tmp_path, case):
    make, said = REFUSED[case]
    data = make(tmp_path)
    data = data.relative_to(tmp_path) if isinstance(data, type(tmp_path)) else data
    before = tree(tmp_path)
    outcome = train(data)
    assert outcome.status == 2 and says(outcome, said), outcome.err
    assert tree(tmp_path) == before


def test_members_of_an_npz_are_never_written_anywhere(train, tmp_path):
    members = {"../evil.npy": member(STACK), "images.npy": member(STACK)}
    write_zip(tmp_path / "a.npz", members, zipfile.ZIP_BZIP2)
    assert train("a.npz").status == 0
    assert not (tmp_path.parent / "evil.npy").exists()


OPTIONS = {
    "--iterations 0": "iterations must be at least 1, not 0",
    "--image-size 1048576": "image size 1048576 .* at most 8192",
    "--image-size 7": "images have at least 8 pixels a side",
    "--batch-size 0": "batch_size must be at least 1, not 0",
    f"--seed {10**30}": "seed is too large: 2.99 or more",
    f"--latent-dim {10**20}": "latent_dim is too large",
    f"--latent-dim {10**12}": "out of memory",
    "--sigma nan": "sigma must be",
    "--optimizer.learning-rate nan": "learning_rate must be above 0, not nan",
    "--checkpoint-every 0": "--checkpoint-every 0: must be at least 1",
    "--device tpu": "--device tpu: is not available on this machine",
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(train, tmp_path, words):
    (tmp_path / "a.png").write_bytes(PNG)
    before = tree(tmp_path)
    outcome = train("a.png", *words.split())
    assert outcome.status == 2 and says(outcome, OPTIONS[words]), outcome.err
    assert tree(tmp_path) == before


OUTS = {
    "a.png": "--out a.png: is a file, not a folder",
    "a.png/run": r"--out a.png/run: cannot be written \(",
    "/proc/nowhere/run": r"--out /proc/nowhere/run: cannot be written \(",
    "data": "--out data: is not empty and not a run; give another folder",
    "a" * 300: "(--out a+|train): .*File name too long",
    "caf\udce9": "--out .*is not valid UTF-8",
}


@pytest.mark.parametrize("out", OUTS)
def test_a_run_folder_that_cannot_be_is_refused(train, tmp_path, out):
    (tmp_path / "a.png").write_bytes(PNG)
    put(folder(tmp_path / "data") / "b.png", PNG)
    before = tree(tmp_path)
    outcome = train("a.png", out=out)
    assert outcome.status == 2 and says(outcome, OUTS[out]), outcome.err
    assert tree(tmp_path) == before
