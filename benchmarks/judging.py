"""How well scores tell images of another kind from images like those that a model learned from.

    python benchmarks/judging.py [--recipes generator descriptor] [--classes pants t-shirt]
        [--seeds 0 1 2] [--minutes 10] [--image-size 32] [--count 100] [--threads 1] [--table]
        [--log benchmarks/judging.jsonl] [--out build/judging] [--write benchmarks/RESULTS.md]

A model learns from the training images of clothing64 by `tigon train RECIPE --image-size N
--minutes M --seed S`. Then `tigon score` is given a folder in the layout of anomaly benchmarks:
good images are clothing64's test images, unusual ones as many of cifar10, of mnist_t10k, and of
noise, uniform in each value. For each of --classes another model learns without that class, whose
test and validation images are then the unusual ones beside those of the other classes. AUROC is
printed for each score beside baselines without learning, which are fitted to the same training
images. What was measured is added to --log, one line a row, and not measured again while it stands
there; --table measures nothing, and prints those that are there.
"""

import json
import os
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from measuring import arguments, find, publish, record
from recipes import ENTRY, ROOT, SHARED, between, clothing, commit, digits, packed, stored, tigon
from results import machine, table
from tigon.data.defects import GOOD
from tigon.runs.run import Run

RECIPES, CLASSES = ["generator", "descriptor"], ["pants", "t-shirt"]
OTHERS = "other data"  # the case in which no class is left out of clothing64
ABOUT = """## How well scores tell unusual images

`python benchmarks/judging.py`: models of clothing64 that learned for {minutes:g} minutes each at
{size} x {size}, and `tigon score` on {count} images of each kind at most. AUROC, 0.5 by chance:
medians over seeds {seeds}, and their range in square brackets if there are several. In the rows of
other data, good images are clothing64's test images; in those of a class, a model learned without
this class, and good images are of the other classes. `benchmarks/judging.jsonl` has every number.
Printed on {machine}."""


def drawn(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return `count` of the images, or all if there are fewer."""
    return images[np.random.default_rng(seed).permutation(len(images))[:count]]


def write(folder: Path, images: np.ndarray) -> None:
    """Write images (N, H, W) or (N, H, W, 3) as PNGs to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number:04}.png")


def labelled(splits: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return images of these splits of clothing64, and the name of the class of each."""
    images, others = packed("clothing64/all.npz")
    some = np.isin(others["split"].astype(str), splits)
    return images[some], others["classes"].astype(str)[others["labels"][some]]


def learned_from(case: str) -> np.ndarray:
    """Return the images that a model of this case learns from."""
    if case == OTHERS:
        return clothing("train")
    images, names = labelled(("train",))
    return images[names != case]


def scored_images(case: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Return the images that are scored, by kind, those that are not unusual as `good`."""
    if case != OTHERS:
        images, names = labelled(("test", "validation"))
        kinds = {GOOD: images[names != case], case: images[names == case]}
        return {name: drawn(some, count, seed) for name, some in kinds.items()}
    noise = np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), np.uint8)
    return {
        GOOD: drawn(clothing("test"), count, seed),
        "cifar10": drawn(packed("cifar10/test.npz")[0], count, seed),
        "mnist_t10k": drawn(digits(), count, seed),
        "noise": noise,
    }


def layout(folder: Path, case: str, count: int, seed: int) -> Path:
    """Return a folder in the layout of anomaly benchmarks, which is made if there is none."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = Path(work) / "made"
            write(made / "train" / GOOD, learned_from(case)[:2])  # baselines learn from the run's
            for kind, images in scored_images(case, count, seed).items():
                write(made / "test" / kind, images)
            made.rename(folder)
    return folder


def asked(options: Namespace, case: str, recipe: str, seed: int) -> dict[str, Any]:
    """Return what a row of the log must have to be the one that is wanted."""
    sizes = {"minutes": options.minutes, "image_size": options.image_size}
    return {"case": case, "recipe": recipe, "seed": seed, "count": options.count} | sizes


def measured(options: Namespace, case: str, recipe: str, seed: int) -> dict[str, Any] | None:
    """Return what a model tells of a case, measured now if it was not before."""
    wanted = asked(options, case, recipe, seed)
    found = find(options.log, wanted)
    if found is not None or options.table:
        return found
    name, learned_at = case.replace(" ", "-"), commit()
    data = stored(options.out / "data" / f"{name}.npz", lambda: learned_from(case))
    root = layout(
        options.out / "data" / f"{name}-{options.count}-{seed}", case, options.count, seed
    )
    run = Run(options.out / f"{name}-{recipe}-{seed}-{options.minutes:g}-{options.image_size}")
    words = ["--data", data, "--out", run.folder, "--seed", seed]
    words += ["--image-size", options.image_size, "--minutes", options.minutes]
    tigon("train", recipe, *words, threads=options.threads)
    told = score(run, root, seed, options.threads)
    last = run.records()[-1]
    more = {"updates": last["iteration"], "d": run.plain_config().get("latent_dim")}
    at = {"machine": machine(threads=options.threads), "commit": learned_at}
    kept = {name: told[name] for name in ("by", "images", "auroc", "auprc")}
    row = wanted | more | kept | at
    record(options.log, row)
    return row


def score(run: Run, root: Path, seed: int, threads: int) -> dict[str, Any]:
    """Return what `tigon score` says of a folder in the layout of anomaly benchmarks."""
    words = ["--data", root, "--raw", "--json", "--seed", seed, "--out", run.folder / "scores.csv"]
    own = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [ENTRY, "score", run.folder, *words]
    done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, env=own)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def lines(options: Namespace, recipe: str) -> Iterator[dict[str, str]]:
    """Yield a line of the table for each score of a recipe, and for each baseline."""
    cases = [OTHERS, *options.classes]
    found = {
        case: [row for seed in options.seeds if (row := measured(options, case, recipe, seed))]
        for case in cases
    }
    some = next((rows[0] for rows in found.values() if rows), None)
    for name in some["auroc"] if some else ():
        main = " (main)" if some and name == some["by"] else ""
        line = {"model": recipe, "score": name + main}
        for case, rows in found.items():
            kinds = ["cifar10", "mnist_t10k", "noise"] if case == OTHERS else [case]
            for kind in kinds:
                values = [row["auroc"][name][kind] for row in rows if name in row["auroc"]]
                line[kind] = between(values, "{:.3f}") if values else ""
        yield line


def main() -> None:
    """Learn, score, and print the table."""
    parser = arguments(__doc__, "judging")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--classes", nargs="*", default=CLASSES, help="of clothing64, left out")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, for each model")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--count", type=int, default=100, help="images of each kind, at most")
    parser.add_argument("--threads", type=int, default=1, help="that models are learned with")
    parser.add_argument("--table", action="store_true", help="print what the log has")
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "judging")
    options = parser.parse_args()
    if not (options.table or SHARED.is_dir()):
        parser.exit(message=f"judging: skipped, since the shared data are not at {SHARED}\n")
    rows = [line for recipe in options.recipes for line in lines(options, recipe)]
    if not rows:
        parser.exit(1, f"judging: {options.log} has none of these rows\n")
    seeds = ", ".join(map(str, options.seeds))
    about = ABOUT.format(
        minutes=options.minutes,
        size=options.image_size,
        count=options.count,
        seeds=seeds,
        machine=machine(threads=options.threads),
    )
    publish(options.write, "judging", f"{about}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
