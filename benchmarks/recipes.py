"""What the default recipes learn from real folders, measured on images that they have not seen.

    python benchmarks/recipes.py [--only NAME ...] [--recipes generator descriptor]
        [--seeds 0 1 2] [--out build/recipes] [--write benchmarks/RESULTS.md]

Every row is `tigon train RECIPE --data DATA --image-size N --seed S`, with no other option, and
then `tigon evaluate` on the data's own test images, or on those that the run held out. Runs stay
in --out: what is finished there is not learned again, so that rows can be added one by one.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from measuring import arguments, publish
from results import machine, table
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, NEAREST, PCA, TRAINING
from tigon.runs.run import Run

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ENTRY = Path(sys.executable).with_name("tigon")
EMBEDDED = "embedded:animal-faces"
ABOUT = """## The default recipes on real folders

`python benchmarks/recipes.py`: `tigon train RECIPE --data DATA --image-size N --seed S` with no
other option; seeds {seeds}, medians, and the range over seeds in square brackets. {machine}.

Errors are mean squared errors of reconstructions of held-out images on the scale of [-1, 1],
beside those of as many principal components as the model has latents, and of the nearest training
image. KID-lite0 is to held-out images, beside that of a Gaussian on the scores of as many
principal components (64 for a descriptor), and of training images. Copies: whether the test for
copies convicts the drawn images, and the smallest of its statistics. clothing64 is measured on its
own test images, cifar10 and mnist_t10k on the tenth that runs hold out (at most 1000); of ten
photographs none is held out."""


class Case(NamedTuple):
    """A data set.

    Attributes:
        size: side of the images
        learned: gives the images to learn from, uint8 (N, H, W, C); None for the embedded ones
        unseen: gives others to evaluate on; None where the run holds some out
    """

    size: int
    learned: Callable[[], np.ndarray] | None
    unseen: Callable[[], np.ndarray] | None = None


def packed(name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the images of a pack of the shared data, and its other arrays."""
    spec = spec_from_file_location("packs", SHARED / "packs.py")
    assert spec is not None and spec.loader is not None
    packs = module_from_spec(spec)
    spec.loader.exec_module(packs)
    with np.load(SHARED / name) as arrays:
        others = {key: arrays[key] for key in arrays.files if key != "jpeg_bytes"}
    return packs.images(str(SHARED / name)), others


def clothing(split: str, count: int | None = None) -> np.ndarray:
    """Return the images of a split of clothing64; `count` of them, drawn with a fixed seed."""
    images, others = packed("clothing64/all.npz")
    images = images[others["split"].astype(str) == split]
    if count is None:
        return images
    return images[np.random.default_rng(0).permutation(len(images))[:count]]


def digits() -> np.ndarray:
    """Return the 10 000 digits of mnist_t10k."""
    path = SHARED / "mnist_t10k" / "t10k-images-idx3-ubyte.gz"
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=16).reshape(-1, 28, 28)


CASES = {
    "embedded photographs": Case(64, None),
    "clothing64, 100 images": Case(64, lambda: clothing("train", 100), lambda: clothing("test")),
    "clothing64, 1000 images": Case(64, lambda: clothing("train", 1000), lambda: clothing("test")),
    "cifar10, 10 000 images": Case(32, lambda: packed("cifar10/train.npz")[0][:10_000]),
    "mnist_t10k": Case(32, digits),
}


def stored(path: Path, make: Callable[[], np.ndarray]) -> Path:
    """Return the path of a .npz with images, which is made if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            np.savez(Path(folder) / "made.npz", images=make())
            (Path(folder) / "made.npz").rename(path)
    return path


def tigon(*words: object) -> None:
    """Run the command line, with its progress on stderr."""
    subprocess.run([ENTRY, *map(str, words)], check=True, stdout=sys.stderr)


def learned(out: Path, name: str, recipe: str, seed: int) -> Run:
    """Return the finished and evaluated run of a data set, a recipe and a seed."""
    case, slug = CASES[name], name.replace(",", "").replace(" ", "-")
    data: Path | str = EMBEDDED
    if case.learned is not None:
        data = stored(out / "data" / f"{slug}.npz", case.learned)
    run = Run(out / f"{slug}-{recipe}-{seed}")
    if evaluated(run).get("benchmark"):
        return run
    size = ["--image-size", case.size]
    tigon("train", recipe, "--data", data, "--out", run.folder, "--seed", seed, *size)
    unseen = []
    if case.unseen is not None:
        path = stored(out / "data" / f"{slug}-unseen.npz", case.unseen)
        unseen = ["--data", path]
    if case.learned is not None:
        tigon("evaluate", run.folder, *unseen)
        values = evaluated(run) | {"benchmark": True}
        run.evaluation.write_text(json.dumps(values, indent=1))
    return run


def evaluated(run: Run) -> dict[str, Any]:
    """Return what evaluation.json holds; nothing if there is none."""
    if not run.evaluation.exists():
        return {}
    found: dict[str, Any] = json.loads(run.evaluation.read_text())
    return found


def row(name: str, recipe: str, runs: list[Run]) -> dict[str, str]:
    """Return a line of the table: medians over seeds, with the range where it says something."""
    found = [evaluated(run) for run in runs]
    settings = runs[0].plain_config()
    minutes = [run.records()[-1]["seconds"] / 60 for run in runs]
    line = {
        "images of": name,
        "learned by": recipe,
        "d": str(settings.get("latent_dim", "")),
        "iterations": str(settings["iterations"]),
        "minutes": between(minutes, "{:.1f}"),
        "error": "",
        "KID-lite0": "",
        "precision, recall": "",
        "copies": "",
    }
    if found[0].get("reconstructions"):
        errors = [one["reconstructions"] for one in found]
        line["error"] = beside(errors, "error", "{:.4f}", {PCA: "PCA", NEAREST: "nearest"})
    if found[0].get("samples"):
        drawn = [one["samples"] for one in found]
        others = {GAUSSIAN: "Gaussian", TRAINING: "training images"}
        line["KID-lite0"] = beside(drawn, "kid", "{:.2f}", others)
        line["precision, recall"] = ", ".join(
            f"{median(one['samples'][MODEL][what] for one in found):.2f}"
            for what in ("precision", "recall")
        )
    if found[0].get("copies"):
        copied = sum(any(t["copied"] for t in one["copies"].values()) for one in found)
        lowest = min(t["statistic"] for one in found for t in one["copies"].values())
        line["copies"] = f"{'yes' if copied else 'no'} ({lowest:+.1f})"
    return line


def beside(found: list[dict[str, Any]], what: str, form: str, others: dict[str, str]) -> str:
    """Return the model's number over seeds, and in brackets the first seed's of some baselines."""
    own = between([one[MODEL][what] for one in found], form)
    shown = [f"{said} {form.format(found[0][name][what])}" for name, said in others.items()]
    return f"{own} ({', '.join(shown)})"


def between(values: list[float], form: str) -> str:
    """Return the median, and the range of several values."""
    middle = form.format(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} [{form.format(min(values))}, {form.format(max(values))}]"


def main() -> None:
    """Learn, evaluate, and print the table."""
    parser = arguments(__doc__, "recipes")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--recipes", nargs="+", default=["generator", "descriptor"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "recipes")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"recipes: skipped, since the shared data are not at {SHARED}\n")
    rows = []
    for name in options.only:
        for recipe in options.recipes:
            runs = [learned(options.out, name, recipe, seed) for seed in options.seeds]
            rows.append(row(name, recipe, runs))
            print(table(rows[-1:]), file=sys.stderr)
    seeds = ", ".join(map(str, options.seeds))
    text = f"{ABOUT.format(seeds=seeds, machine=machine())}\n\n{table(rows)}"
    publish(options.write, "recipes", text)


if __name__ == "__main__":
    main()
