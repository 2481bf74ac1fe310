"""What learning from incomplete photographs costs, beside learning from whole ones.

    python benchmarks/incomplete.py [--count 600] [--image-size 32] [--seeds 0] [--recipe NAME]
                                    [--write benchmarks/RESULTS.md] [--more OPTIONS OF TRAIN]

Photographs of clothing64 (CC0) lose half or 70 % of their pixels at random, or a block of half
their area. `tigon train --mask` learns from the rest. What was missing is then restored, for
images that were learned from and for test images that lost as much, with `tigon.restore`: the
error is that of the mean, over the missing values. The complete model restores the same images
from the same values, but has learned from whole ones. Asked: a ratio of at most 1.5.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from measuring import arguments, publish
from recipes import ROOT, SHARED, clothing, tigon
from results import machine
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
on [-1, 1] over what was missing, of the mean of {draws} draws, for {some} images that were learned
from and {some} test images; in brackets those of a model that learned from whole photographs, as
`ratio` has them. {machine}.

| missing | learned from | ratio | test images | ratio |
|---|---|---|---|---|
{rows}

Asked of each ratio: at most {asked}."""
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


def compared(options: argparse.Namespace, seed: int) -> dict[str, dict[str, float]]:
    """Return errors of the incomplete and the complete model, by what was missing."""
    size, how, found = options.image_size, Draws(4, draws=2), {}
    sets = {
        "learned": load_images(options.out / "train", size).pixels,
        "test": load_images(options.out / "test", size).pixels,
    }
    whole = learned(options, seed, "whole", None)
    for number, (kind, make) in enumerate(KINDS.items()):
        rng = np.random.default_rng([seed, number])
        masks = {
            name: np.stack([make(rng, size) for _ in images]) for name, images in sets.items()
        }
        places = written(masks["learned"], options.out / f"masks-{seed}-{number}-{size}")
        own, values = learned(options, seed, str(number), places), {}
        for name, images in sets.items():
            some = np.linspace(0, len(images) - 1, options.some).astype(int)
            seen = to_float(np.asarray(images[some])), masks[name][some], seed, how
            values[name], values[f"{name} whole"] = error(own, *seen), error(whole, *seen)
        found[kind] = values
        print(kind, json.dumps(values), flush=True)
    return found


def row_of(kind: str, runs: list[dict[str, dict[str, float]]]) -> str:
    """Return a row of the table: means over seeds."""
    cells = [kind]
    for name in ("learned", "test"):
        own, whole = (fmean(run[kind][key] for run in runs) for key in (name, f"{name} whole"))
        cells += [f"{own:.4f} ({whole:.4f})", f"{own / whole:.2f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Learn, restore, and print."""
    parser = arguments(__doc__, "incomplete")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "incomplete")
    parser.add_argument("--count", type=int, default=600, help="photographs that are learned from")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--some", type=int, default=12, help="images of each set to restore")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipe", default="generator")
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="options of train")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"incomplete: skipped, since the shared data are not at {SHARED}\n")
    options.out /= f"{options.count}-{options.image_size}"
    written(clothing("train", options.count), options.out / "train")
    written(clothing("test", options.some), options.out / "test")
    runs = [compared(options, seed) for seed in options.seeds]
    text = TEXT.format(
        count=options.count,
        size=options.image_size,
        recipe=options.recipe,
        seeds=" ".join(map(str, options.seeds)),
        draws=8,
        some=options.some,
        machine=machine(),
        rows="\n".join(row_of(kind, runs) for kind in KINDS),
        asked=ASKED,
    )
    publish(options.write, "incomplete", text)


if __name__ == "__main__":
    main()
