"""What the tests of bad input share: a monitored command line, and makers of odd files."""

import atexit
import hashlib
import io
import json
import os
import re
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tigon.cli.main import main

REPORTED = ["--image-size", "8", "--network.width", "4", "--iterations", "3"]  # of tigon train
TINY = [*REPORTED, "--no-report"]
STARTED = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
CHANGED = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link")
PASSED_OVER = ("__pycache__", "matplotlib", "torchinductor", "/dev/null")
_heard: list[str] | None = None


class Outcome(NamedTuple):
    """The output of a command line on the terminal."""

    status: int
    out: str
    err: str


def _hear(event, arguments):
    """Record programs that are started, and files that are opened for writing or changed."""
    if _heard is None:
        return
    if event in STARTED:
        _heard.append(f"{event} {arguments[0]}")
    if event in CHANGED and any(type(a) is int and a >= 0 for a in arguments[-1:]):
        return  # below a folder that was opened: the removal of a whole tree
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (writes or event in CHANGED) and isinstance(arguments[0], str | bytes | Path):
        path = Path(os.fsdecode(arguments[0]))
        link = event in CHANGED  # which change a link itself, not what it leads to
        _heard.append(str(path.parent.resolve() / path.name) if link else os.path.realpath(path))


sys.addaudithook(_hear)


def run_watched(capsys, out, *words) -> Outcome:
    """Run a command line; check what holds for all: one line, no traceback, nothing elsewhere.

    Arguments:
        out: the file or folder that the command line names; nothing else may be written, but in
            the cache
    """
    global _heard
    capsys.readouterr()
    _heard = []
    try:
        status = main([str(word) for word in words])
    finally:
        heard, _heard = _heard, None
    outcome = Outcome(status, *capsys.readouterr())
    allowed = [os.path.realpath(path) for path in (out, os.environ["TIGON_CACHE"])]
    allowed.append(os.path.realpath(Path(out).with_name(f".new-{Path(out).name}")))
    elsewhere = [path for path in heard if not path.startswith(tuple(allowed))]
    elsewhere = [path for path in elsewhere if not allowed[0].startswith(f"{path}/")]
    elsewhere = [path for path in elsewhere if not any(part in path for part in PASSED_OVER)]
    assert not elsewhere, elsewhere
    assert "Traceback" not in outcome.err
    lines = [line for line in outcome.err.splitlines() if line.startswith("tigon:")]
    assert len(lines) == (1 if status else 0), outcome.err
    if status:
        assert outcome.err.endswith(f"{lines[0]}\n") and outcome.out == ""
    return outcome


def says(outcome, pattern):
    """Return whether the one line that a refusal ends with matches."""
    return re.search(pattern, outcome.err.splitlines()[-1]) is not None


def tree(folder):
    """Return what every file below a folder holds; of a link, where it leads."""
    paths = [path for path in Path(folder).rglob("*") if path.is_symlink() or path.is_file()]
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        for path in paths
    }


def picture(seed=0, size=(16, 16), mode="RGB"):
    """Return a picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(shown, kind, **options):
    """Return a picture as the bytes of a file."""
    stream = io.BytesIO()
    shown.save(stream, kind, **options)
    return stream.getvalue()


def png_claiming(width, height):
    """Return a PNG of a few bytes whose header claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def member(array, shape=None):
    """Return an array as a `.npy`; with `shape`, one that claims another shape."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    data = stream.getvalue()
    if shape is None:
        return data
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data[128:]


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    """Write a `.npz` of members by name, of whatever names and bytes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def right_sums(checkpoint):
    """Update the checksums in the manifest to those of the current files."""
    names = ("model.safetensors", "chains.safetensors", "training.pt")
    sums = {n: hashlib.sha256((checkpoint / n).read_bytes()).hexdigest() for n in names}
    (checkpoint / "manifest.json").write_text(json.dumps({"sha256": sums}))


@cache
def learned():
    """Return a folder with data, a generator's run and a descriptor's, learned once."""
    folder = Path(tempfile.mkdtemp(prefix="tigon-learned-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    np.savez(folder / "data.npz", images=np.stack([picture(k, (8, 8)) for k in range(3)]))
    for recipe in ("generator", "descriptor"):
        words = [recipe, "--data", folder / "data.npz", "--out", folder / recipe, *REPORTED]
        words += ["--chains.steps", "2"] if recipe == "descriptor" else []
        assert main(["train", *map(str, words)]) == 0
    return folder


def copied_run(folder):
    """Copy what `learned` has into a folder, the generator's run as `run`; returns its path."""
    shutil.copytree(learned() / "generator", folder / "run")
    shutil.copytree(learned() / "descriptor", folder / "descriptor")
    (folder / "data.npz").symlink_to(learned() / "data.npz")
    return folder / "run"


def check(capsys, run, line, said, out="s.npz"):
    """Run a command line on a spoilt run: refused as said, and no file has changed."""
    before = tree(run.parent)
    outcome = run_watched(capsys, out, *line.split())
    if said:
        assert outcome.status == 2 and says(outcome, said), outcome
        assert tree(run.parent) == before
    else:
        assert outcome.status == 0, outcome
    return outcome
