"""What learning from incomplete photographs costs, beside learning from whole ones.

    python benchmarks/incomplete.py [--count 600] [--image-size 32] [--seeds 0 1 2]
        [--recipe generator] [--some 12] [--table] [--log benchmarks/incomplete.jsonl]
        [--out build/incomplete] [--write benchmarks/RESULTS.md] [--more OPTIONS OF TRAIN]

Photographs of clothing64 (CC0) lose half or 70 % of their pixels at random, or a block of half
their area. `tigon train --mask` learns from the rest. What was missing is then restored, for
images that were learned from and for test images that lost as much, with `tigon.restore`: the
error is that of the mean, over the missing values. The complete model restores the same images
from the same values, but has learned from whole ones. Asked: a ratio of at most 1.5. What was
measured is added to --log, one line a seed and kind of mask, and not measured again while it
stands there; --table measures nothing, and prints those that are there.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from measuring import arguments, find, publish, record
from recipes import ROOT, SHARED, between, clothing, commit, tigon
from results import machine, table
from tigon.data.load import load_images
from tigon.data.pixels import to_float
from tigon.inference.physics import Mask
from tigon.inference.restore import Draws, restore
from tigon.models.base import Model
from tigon.random.streams import RowRng
from tigon.runs.run import Run

ASKED = 1.5
TEXT = """## Learning from incomplete photographs

`python benchmarks/incomplete.py --count {count} --image-size {size} --recipe {recipe} --seeds
{seeds}`: {count} photographs of clothing64, of which values are missing. Errors are mean squares
on [-1, 1] over what was missing, of the mean of {draws} draws, for {some} test images and {some}
that were learned from; in brackets those of a model that learned from whole photographs, and so
has seen what is missing of the latter. Medians over seeds, and their range in square brackets if
there are several. Asked of a ratio: at most {asked}. `benchmarks/incomplete.jsonl` has every
number. Printed on {machine}.

{rows}"""
SETS = {"test": "test images", "train": "learned from"}
Missing = Callable[[np.random.Generator, int], np.ndarray]


def at_random(part: float) -> Missing:
    """Return what makes masks in which this part of the pixels is missing, 255 where kept."""
    return lambda rng, size: np.uint8(255) * (rng.random((size, size)) >= part)


def block(rng: np.random.Generator, size: int) -> np.ndarray:
    """Make a mask in which a square of half the area is missing, somewhere."""
    side, mask = round(size * 0.5**0.5), np.full((size, size), 255, np.uint8)
    top, left = rng.integers(0, size - side + 1, 2)
    mask[top : top + side, left : left + side] = 0
    return mask


KINDS: dict[str, Missing] = {
    "half of the pixels": at_random(0.5),
    "70 % of the pixels": at_random(0.7),
    "a block of half the area": block,
}


def written(pixels: np.ndarray, folder: Path) -> Path:
    """Write pictures as PNGs, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for row, image in enumerate(pixels):
        path = folder / f"{row:05}.png"
        if not path.exists():
            Image.fromarray(image).save(path)
    return folder


def error(model: Model, images: Tensor, masks: np.ndarray, seed: int, how: Draws) -> float:
    """Return the mean squared error of what was missing of images, by the mean of draws."""
    kept = torch.from_numpy(masks > 0).float()[:, None].expand_as(images)
    physics, rng = Mask(kept), RowRng(seed, 0, range(len(images) * how.chains), "incomplete")
    found = restore(model, physics(images), physics, rng, how=how)
    squares = (found.mean - images) ** 2 * (1 - kept)
    return (squares.flatten(1).sum(1) / (1 - kept).flatten(1).sum(1)).mean().item()


def learned(options: argparse.Namespace, seed: int, name: str, mask: Path | None) -> Model:
    """Learn from the photographs with a mask, or from whole ones, unless that was done before."""
    run = Run(options.out / f"{options.recipe}-{seed}-{name}")
    words = ["--data", options.out / "train", "--image-size", options.image_size, "--seed", seed]
    words += ["--held-out", 0, "--out", run.folder, *options.more]
    if not run.folder.exists():
        tigon("train", options.recipe, *words, *(["--mask", mask] if mask else []), threads=1)
    return run.model().eval()


def errors(options: argparse.Namespace, seed: int, kind: str) -> dict[str, float]:
    """Return errors of the incomplete and the complete model, with a kind of mask."""
    size, how, number = options.image_size, Draws(4, draws=2), list(KINDS).index(kind)
    rng, make, values = np.random.default_rng([seed, number]), KINDS[kind], {}
    sets = {name: load_images(options.out / name, size).pixels for name in SETS}
    masks = {name: np.stack([make(rng, size) for _ in images]) for name, images in sets.items()}
    places = written(masks["train"], options.out / f"masks-{seed}-{number}-{size}")
    whole, own = learned(options, seed, "whole", None), learned(options, seed, str(number), places)
    for name, images in sets.items():
        some = np.linspace(0, len(images) - 1, options.some).astype(int)
        seen = to_float(np.asarray(images[some])), masks[name][some], seed, how
        values[name], values[f"{name} whole"] = error(own, *seen), error(whole, *seen)
    return values


def measured(options: argparse.Namespace, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of mask, measured now if it was not before."""
    same = {"seed": seed, "count": options.count, "size": options.image_size}
    same |= {"recipe": options.recipe, "some": options.some, "more": options.more}
    for kind in KINDS:
        row = same | {"missing": kind}
        known = find(options.log, row)
        if known is None and not options.table:
            at = {"machine": machine(threads=1), "commit": commit()}
            known = row | errors(options, seed, kind) | at
            record(options.log, known)
        if known is not None:
            yield known


def lines(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield a line of the table for each kind of mask."""
    rows = [row for seed in options.seeds for row in measured(options, seed)]
    for kind in KINDS:
        some = [row for row in rows if row["missing"] == kind]
        if not some:
            continue
        line = {"missing": kind, "seeds": ", ".join(str(row["seed"]) for row in some)}
        for name, title in SETS.items():
            own, whole = ([row[key] for row in some] for key in (name, f"{name} whole"))
            line[title] = f"{between(own, '{:.4f}')} ({between(whole, '{:.4f}')})"
            ratios = [a / b for a, b in zip(own, whole, strict=True)]
            line[f"ratio, {title}"] = between(ratios, "{:.2f}")
        yield line


def main() -> None:
    """Learn, restore, and print."""
    parser = arguments(__doc__, "incomplete")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "incomplete")
    parser.add_argument("--count", type=int, default=600, help="photographs that are learned from")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--some", type=int, default=12, help="images of each set to restore")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="print what the log has")
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--recipe", default="generator")
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="options of train")
    options = parser.parse_args()
    if not (options.table or SHARED.is_dir()):
        parser.exit(message=f"incomplete: skipped, since the shared data are not at {SHARED}\n")
    options.out /= f"{options.count}-{options.image_size}"
    torch.set_num_threads(1)
    if not options.table:
        written(clothing("train", options.count), options.out / "train")
        written(clothing("test", options.some), options.out / "test")
    rows = list(lines(options))
    if not rows:
        parser.exit(1, f"incomplete: {options.log} has none of these rows\n")
    text = TEXT.format(
        count=options.count,
        size=options.image_size,
        recipe=options.recipe,
        seeds=" ".join(map(str, options.seeds)),
        draws=8,
        some=options.some,
        machine=machine(threads=1),
        rows=table(rows),
        asked=ASKED,
    )
    publish(options.write, "incomplete", text)


if __name__ == "__main__":
    main()
