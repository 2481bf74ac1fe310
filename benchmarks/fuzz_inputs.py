"""Inputs for `fuzz.py`: mutated pictures, archives and run folders, and their reading.

Bytes are flipped, set, inserted, deleted, doubled, spliced and cut, lengths changed, and checksums
made right again so that what lies behind them is reached.
"""

import io
import json
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from fuzz_pictures import picture_seeds
from tigon.data.load import load_images
from tigon.errors import TigonError
from tigon.random.streams import make_rng
from tigon.recipes import DescriptorRecipe, GeneratorRecipe
from tigon.recipes.settings import DescriptorNetwork, GeneratorNetwork, ImageChains
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.checkpoint import load_checkpoint
from tigon.training.checkpoint_folder import FILES, latest_checkpoint

LENGTHS = (0, 1, 2, 7, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = (
    *(b"nan", b"inf", b"-1", b"0", b"1e999", b"true", b"null", b"[]", b"{}", b"''", b'"', b"\n"),
    *(b"9" * 5000, b"9" * 40, b"[" * 5000, b'{"a":' * 3000, b"\x00", b"\xff\xfe", b"=", b"[a]\n"),
    *(
        b"image_size",
        b"recipe",
        b"iteration",
        b"event",
        b"../../evil",
        b"/tmp/evil",
        b"1.5",
        b"|O",
    ),
)
Files = dict[str, bytes]


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return the data with one to eight changes."""
    changed = bytearray(data)
    for _ in range(min(8, 1 + int(rng.expovariate(0.6)))):
        at = rng.randrange(len(changed) + 1)
        size = min(len(changed) - at, 1 + int(rng.expovariate(0.1)))
        kind = rng.randrange(9)
        if kind < 2 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8) if kind else rng.randrange(256)
        elif kind == 2:
            changed[at : at + size] = rng.randbytes(size)
        elif kind == 3:
            changed[at:at] = changed[at : at + size] * rng.choice((1, 1, 50))
        elif kind == 4:
            del changed[at : at + size]
        elif kind == 5:
            form = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q"))
            value = rng.choice(LENGTHS) % 256 ** struct.calcsize(form)
            changed[at : at + struct.calcsize(form)] = struct.pack(form, value)
        elif kind == 6:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            changed[at : at + size] = other[start : start + 8 * size]
        elif kind == 7:
            changed[at : at + rng.choice((0, size))] = rng.choice(WORDS)
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def right_checksums(data: bytes) -> bytes:
    """Return a PNG whose chunks have correct checksums."""
    whole, at = data[:8], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunk = data[at + 4 : at + 8 + size]
        whole += data[at : at + 4] + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        at += 12 + size
    return whole + data[at:]


class Images:
    """One picture file."""

    def __init__(self, box: Path) -> None:
        self.path, self.seeds = box / "in", picture_seeds()

    def make(self, rng: random.Random) -> Files:
        """Return a mutated picture, with its own extension or another."""
        ending, data = rng.choice(self.seeds)
        changed = mutate(data, [seed for _, seed in self.seeds], rng)
        if ending == "png" and rng.random() < 0.7:
            changed = right_checksums(changed)
        return {f"x.{rng.choice((ending, 'png'))}": changed}

    def read(self, rng: random.Random) -> None:
        """Load it."""
        fit: Any = rng.choice(("stretch", "crop"))
        frames: Any = rng.choice(("first", "all"))
        form = rng.choice((8, 32)), fit, rng.choice((1, 3)), rng.random() < 0.2, frames
        load_images(self.path, *form)


class Archives:
    """A `.npz`, a snapshot of a run, or what the cache holds."""

    def __init__(self, box: Path) -> None:
        self.path = box / "in"
        stack = np.random.default_rng(0).integers(0, 256, (5, 9, 10, 3), np.uint8)
        arrays = [stack, stack[..., :1], stack[..., 0], np.asfortranarray(stack), stack / 255.0]
        arrays += [stack[0], stack[:3, ..., 0], np.moveaxis(stack, -1, 1), stack > 99]
        self.arrays = [member(array) for array in [*arrays, stack[:1, :1, :1]]]
        self.arrays.append(member(np.array([{"a": print}], dtype=object)))
        names, compressed = ["images.npy"], (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
        self.zips = [archive([(n, a)], c) for a in self.arrays for n in names for c in compressed]

    def make(self, rng: random.Random) -> Files:
        """Return a mutated archive, or a valid one of a mutated array."""
        if rng.random() < 0.5:
            return {"x.npz": mutate(rng.choice(self.zips), self.zips, rng)}
        array = mutate(rng.choice(self.arrays), self.arrays, rng)
        names = rng.choice((["images.npy"], ["images"], ["../evil.npy", "images.npy"], ["a", "a"]))
        kinds = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        return {"x.npz": archive([(name, array) for name in names], rng.choice(kinds))}

    def read(self, rng: random.Random) -> None:
        """Load it as data and as a snapshot; then load it from a cache that is damaged."""
        snapshots = self.path.parent / "run" / "snapshots"
        snapshots.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.path / "x.npz", snapshots / "1.npz")
        try:
            images = load_images(self.path / "x.npz", 8)
        finally:
            accepting(lambda: Run(snapshots.parent).snapshots())
        held = Path(images.pixels.filename)  # type: ignore[attr-defined]
        victim = held.with_name(rng.choice(("images.npy", "names.npy", "names.txt", "about.json")))
        victim.write_bytes(mutate(victim.read_bytes(), self.arrays, rng))
        load_images(self.path / "x.npz", 8)


def accepting(work: Any) -> None:  # noqa: ANN401
    """Do something that may be refused."""
    try:
        work()
    except TigonError:
        pass


def member(array: np.ndarray) -> bytes:
    """Return an array as the bytes of a `.npy`."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def archive(members: list[tuple[str, bytes]], compression: int) -> bytes:
    """Return members as the bytes of a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name), data, compression)
    return stream.getvalue()


class Runs:
    """A run folder of which one file is changed."""

    victims: tuple[str, ...] = ()

    def __init__(self, box: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
        np.savez(box / "data.npz", images=pixels)
        length: Any = {"image_size": 8, "iterations": 2, "batch_size": 2}
        chains = ImageChains(steps=2)
        recipes = {
            "generator": GeneratorRecipe(network=GeneratorNetwork(width=2), **length),
            "descriptor": DescriptorRecipe(network=DescriptorNetwork(2), chains=chains, **length),
        }
        self.path, self.kept = box / "in", []
        for name, recipe in recipes.items():
            experiment = Experiment(name, recipe, str(box / "data.npz"))
            train(experiment, box / name, "cpu")
            files = (p for p in (box / name).rglob("*") if p.is_file())
            whole = {str(p.relative_to(box / name)): p.read_bytes() for p in files}
            images = recipe.load(experiment.data)
            self.kept.append((whole, recipe, images))

    def make(self, rng: random.Random) -> Files:
        """Return a run's files, one of them mutated."""
        self.whole, self.recipe, self.images = rng.choice(self.kept)
        files = dict(self.whole)
        name = rng.choice([name for name in files if Path(name).name in self.victims])
        others = [files[n] for n in files if Path(n).name in self.victims]
        files[name] = self.damaged(files[name], others, rng)
        if rng.random() < 0.8 and Path(name).name in FILES:
            manifest = str(Path(name).with_name("manifest.json"))
            sums = json.loads(files[manifest])
            sums["sha256"][Path(name).name] = sha256(files[name]).hexdigest()
            files[manifest] = json.dumps(sums).encode()
        return files

    def damaged(self, data: bytes, others: list[bytes], rng: random.Random) -> bytes:
        """Return mutated data; of an archive sometimes only its pickle, in a valid archive."""
        if data[:2] != b"PK" or rng.random() < 0.4:
            return mutate(data, others, rng)
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = [(info.filename, file.read(info)) for info in file.infolist()]
        at = next(n for n, (name, _) in enumerate(members) if name.endswith("data.pkl"))
        members[at] = (members[at][0], mutate(members[at][1], [members[at][1]], rng))
        return archive(members, zipfile.ZIP_STORED)


class Checkpoints(Runs):
    """A run folder with a changed checkpoint."""

    victims = (*FILES, "manifest.json")

    def read(self, rng: random.Random) -> None:
        """Sample from it, and resume from it."""
        run = Run(self.path)  # anew: a run remembers its config
        accepting(lambda: run.learner().sample(2, make_rng(0)))
        accepting(lambda: run.learner("best"))
        trainer = self.recipe.trainer(self.images)
        path = latest_checkpoint(run.checkpoints)
        assert path is not None
        load_checkpoint(path, trainer)
        trainer.step()


class Configs(Runs):
    """A run folder with a changed config, metrics or environment."""

    victims = ("config.toml", "metrics.jsonl", "environment.json")

    def read(self, rng: random.Random) -> None:
        """Read all of it, write the config again, and take it for what it was."""
        run = Run(self.path)
        accepting(lambda: run.refuse_other_images(self.images))
        accepting(run.records)
        accepting(run.events)
        again = Run(run.folder.parent / "again")
        again.folder.mkdir(exist_ok=True)
        again.write_config(run.experiment)
        if again.experiment != run.experiment:
            raise AssertionError("a config is another after it was written")
        recipe: Any = run.experiment.recipe
        if recipe.image_size <= 64 and recipe.network.width <= 64:
            run.learner()


KINDS: dict[str, Callable[[Path], Images | Archives | Checkpoints | Configs]] = {
    "images": Images,
    "archives": Archives,
    "checkpoints": Checkpoints,
    "configs": Configs,
}
