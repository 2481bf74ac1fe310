"""What the default recipes learn from real folders, measured on images that they have not seen.

    python benchmarks/recipes.py [--only NAME ...] [--recipes generator descriptor cooperative]
        [--rivals] [--minutes M] [--seeds 0 1 2] [--out build/recipes]
        [--write benchmarks/RESULTS.md]

Every row is `tigon train RECIPE --data DATA --image-size N --seed S`, with no other option but
--minutes, if it is given here, and then `tigon evaluate` on the data's own test images, or on
those that the run held out. With --rivals, a VAE with the same decoder, d and sigma learns for the
minutes that each generator took, and a small diffusion model for those of each descriptor
(`rivals.py`). Runs stay in --out: what is finished there is not learned again, so that rows can be
added one by one; runs of other minutes need another folder.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from measuring import alone, arguments, publish
from results import machine, table
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, NEAREST, PCA, TRAINING
from tigon.runs.run import Run

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ENTRY = Path(sys.executable).with_name("tigon")
EMBEDDED = "embedded:animal-faces"
RECIPES = ["generator", "descriptor", "cooperative"]
RIVALS = {"generator": "vae", "descriptor": "ddpm"}
ABOUT = """## The default recipes on real folders

`python benchmarks/recipes.py`: `tigon train RECIPE --data DATA --image-size N --seed S{minutes}`
with no other option; seeds {seeds}, medians, and the range over seeds in square brackets.
{machine}.

Errors are mean squared errors of reconstructions of held-out images on the scale of [-1, 1],
beside those of as many principal components as the model has latents, and of the nearest training
image. KID-lite0 is to held-out images, beside that of a Gaussian on the scores of as many
principal components (64 for a descriptor), and of training images. Copies: whether the test for
copies convicts the drawn images, and the smallest of its statistics. clothing64 is measured on its
own test images, cifar10 and mnist_t10k on the tenth that runs hold out (at most 1000); of ten
photographs none is held out. A VAE has the decoder, d and sigma of the generator above it and
learned for as many minutes, and so did a small diffusion model (DDPM) below its descriptor."""


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


def tigon(*words: object, threads: int | None = None) -> None:
    """Run the command line, with its output on stderr; on so many threads, if given."""
    own = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    subprocess.run([ENTRY, *map(str, words)], check=True, stdout=sys.stderr, env=own)


def learned(out: Path, name: str, recipe: str, seed: int, minutes: float | None) -> Run:
    """Return the finished and evaluated run of a data set, a recipe and a seed.

    Arguments:
        minutes: that it learns for; its own number of iterations if None
    """
    case, slug = CASES[name], slug_of(name)
    data: Path | str = EMBEDDED
    if case.learned is not None:
        data = stored(out / "data" / f"{slug}.npz", case.learned)
    run = Run(out / f"{slug}-{recipe}-{seed}")
    if evaluated(run).get("benchmark"):
        return run
    how = ["--image-size", case.size, *(["--minutes", minutes] if minutes else [])]
    tigon("train", recipe, "--data", data, "--out", run.folder, "--seed", seed, *how)
    unseen = []
    if case.unseen is not None:
        path = stored(out / "data" / f"{slug}-unseen.npz", case.unseen)
        unseen = ["--data", path]
    if case.learned is not None:
        tigon("evaluate", run.folder, *unseen)
        values = evaluated(run) | {"benchmark": True}
        run.evaluation.write_text(json.dumps(values, indent=1))
    return run


def rival(out: Path, name: str, kind: str, run: Run) -> dict[str, Any]:
    """Return what a VAE or a diffusion model achieves in the minutes that a run took."""
    path = out / f"{run.folder.name}-{kind}.json"
    if not path.exists():
        case, slug = CASES[name], slug_of(name)
        settings, minutes = run.plain_config(), run.records()[-1]["seconds"] / 60
        words = ["--image-size", case.size, "--seed", settings["seed"], "--minutes", minutes]
        if kind == "vae":
            words += ["--latent-dim", settings["latent_dim"], "--sigma", settings["sigma"]]
            words += ["--width", settings["network"]["width"]]
        if case.unseen is not None:
            words += ["--unseen", out / "data" / f"{slug}-unseen.npz"]
        data = out / "data" / f"{slug}.npz"
        found = alone(str(ROOT / "benchmarks" / "rivals.py"), kind, data, *words)
        path.write_text(json.dumps(found, indent=1))
    return plain(path)


def plain(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; nothing if there is no file."""
    values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return values


def slug_of(name: str) -> str:
    """Return a data set's name as part of a file's."""
    return name.replace(",", "").replace(" ", "-")


def evaluated(run: Run) -> dict[str, Any]:
    """Return what evaluation.json holds; nothing if there is none."""
    return plain(run.evaluation)


def row(name: str, recipe: str, runs: list[Run]) -> dict[str, str]:
    """Return a recipe's line of the table: medians over seeds, with ranges."""
    settings = runs[0].plain_config()
    minutes = [run.records()[-1]["seconds"] / 60 for run in runs]
    dim = settings.get("latent_dim", "")
    iterations = between([run.records()[-1]["iteration"] for run in runs], "{:.0f}")
    return line(name, recipe, str(dim), iterations, minutes, list(map(evaluated, runs)))


def rival_row(name: str, kind: str, runs: list[Run], out: Path) -> dict[str, str]:
    """Return the line of a VAE or a diffusion model that had the minutes of these runs."""
    found = [rival(out, name, kind, run) for run in runs]
    dim = str(runs[0].plain_config()["latent_dim"]) if kind == "vae" else ""
    updates = between([one["updates"] for one in found], "{:.0f}")
    return line(name, kind.upper(), dim, updates, [one["minutes"] for one in found], found)


def line(
    name: str,
    learned_by: str,
    dim: str,
    iterations: str,
    minutes: list[float],
    found: list[dict[str, Any]],
) -> dict[str, str]:
    """Return a line of the table, from what `tigon evaluate` found for each seed."""
    cells = {
        "images of": name,
        "learned by": learned_by,
        "d": dim,
        "iterations": iterations,
        "minutes": between(minutes, "{:.1f}"),
        "error": "",
        "KID-lite0": "",
        "precision, recall": "",
        "copies": "",
    }
    if found[0].get("reconstructions"):
        errors = [one["reconstructions"] for one in found]
        cells["error"] = beside(errors, "error", "{:.4f}", {PCA: "PCA", NEAREST: "nearest"})
    if found[0].get("samples"):
        drawn = [one["samples"] for one in found]
        others = {GAUSSIAN: "Gaussian", TRAINING: "training images"}
        cells["KID-lite0"] = beside(drawn, "kid", "{:.2f}", others)
        cells["precision, recall"] = ", ".join(
            f"{median(one['samples'][MODEL][what] for one in found):.2f}"
            for what in ("precision", "recall")
        )
    if found[0].get("copies"):
        copied = sum(any(t["copied"] for t in one["copies"].values()) for one in found)
        lowest = min(t["statistic"] for one in found for t in one["copies"].values())
        cells["copies"] = f"{'yes' if copied else 'no'} ({lowest:+.1f})"
    return cells


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
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--minutes", type=float, help="of training, for each row")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "recipes")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"recipes: skipped, since the shared data are not at {SHARED}\n")
    rows = []
    for name in options.only:
        for recipe in options.recipes:
            runs = [
                learned(options.out, name, recipe, seed, options.minutes) for seed in options.seeds
            ]
            rows.append(row(name, recipe, runs))
            kind = RIVALS.get(recipe)
            if options.rivals and kind and CASES[name].learned is not None:
                rows.append(rival_row(name, kind, runs, options.out))
            print(table(rows[-2:]), file=sys.stderr)
    seeds = ", ".join(map(str, options.seeds))
    minutes = f" --minutes {options.minutes:g}" if options.minutes else ""
    about = ABOUT.format(seeds=seeds, minutes=minutes, machine=machine())
    text = f"{about}\n\n{table(rows)}"
    publish(options.write, "recipes", text)


if __name__ == "__main__":
    main()
