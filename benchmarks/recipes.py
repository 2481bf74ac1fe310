"""What the default recipes learn from real folders, measured on images that they have not seen.

    python benchmarks/recipes.py [--only NAME ...] [--recipes generator latent-ebm ...]
        [--rivals] [--minutes M] [--seeds 0 1 2] [--threads 1] [--table]
        [--log benchmarks/recipes.jsonl] [--out build/recipes] [--write benchmarks/RESULTS.md]

Every row is `tigon train RECIPE --data DATA --image-size N --seed S`, with no other option but
--latent-dim, where the data set's name has a d, --minutes, if it is given here, and those that the
row's name has, as "generator --batch-size 64"; and then `tigon evaluate` on the data's own test
images, or on those that the run held out. With --rivals, a VAE with the same decoder, d and sigma
learns for the minutes that each generator took, a small diffusion model for those of each
descriptor, and training images are measured as if they were drawn (`rivals.py`). What was measured
is added to --log, one line a row, and not measured again while it stands there, so that rows can
be made one by one, on several machines; --table makes none, and prints those that are there, of
all --minutes if none are given.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from lite0 import covered
from measuring import alone, arguments, find, logged, publish, record
from results import machine, table
from tigon.diagnostics.distances import kid
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, NEAREST, PCA, TRAINING
from tigon.diagnostics.features import features
from tigon.learners.base import RECENT
from tigon.random.streams import RowRng
from tigon.runs.run import Run

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ENTRY = Path(sys.executable).with_name("tigon")
EMBEDDED = "embedded:animal-faces"
MANY = 160  # draws of a model of few images
RECIPES = [
    "generator",
    "generator --iterations 1100",
    "generator --iterations 2450",
    "generator --iterations 5000",
    "generator --average 0.99",
    "generator --average 0.999",
    "generator --batch-size 64",
    "generator --components 1 --batch-size 64",
    "latent-ebm --batch-size 64",
    "descriptor",
    "cooperative",
    "cooperative --revision.pool 1 --batch-size 32",
]
LATENT = {"generator", "latent-ebm", "cooperative"}
RIVALS = {
    "generator": ["vae", "copies"],
    "generator --batch-size 64": ["vae --batch-size 64"],
    "descriptor": ["ddpm"],
}
ABOUT = """## The default recipes on real folders

`python benchmarks/recipes.py`: `tigon train RECIPE --data DATA --image-size N --seed S{minutes}`
with no other option but `--latent-dim` where a d is named, `--minutes` unless the row gives its
iterations or says that they are its own, and what the row has. Medians over seeds, and their range
in square brackets if there are several. `benchmarks/recipes.jsonl` has every number, and the
machine and time of each. Printed on {machine}.

Errors are mean squared errors of reconstructions of 64 held-out images on the scale of [-1, 1],
beside those of as many principal components as the model has latents, and of the nearest training
image. KID-lite0 is to held-out images, beside that of a Gaussian on the scores of as many
principal components (64 for a descriptor), and of training images. Copies: whether the test for
copies convicts the drawn images of any seed, and the larger of its two statistics, in pixels or in
features, whichever is lower; below -3 are copies. (None of a row that was measured before the test
compared training images with each other. Whether some images are copies is also tested, by the
count of close ones, of rows since 2026-11-29 07:40. Where images are mirrored, as those of clothes
and textures are, copies of a training image count as other ones in rows of before 12:40 that day,
which makes the second statistic too large: in the default rows of clothes it was computed again.)
Generators and cooperative learn from batches
of 16 images, descriptors from 32; with `--batch-size 64`, which was the default, rows compare one
prior with another, and with `--revision.pool 1` cooperative revises images pixel by pixel, not
averaged over 2 x 2. clothing64 is measured on its own test images, cifar10 and mnist_t10k on
the tenth that runs hold out (at most 1000); of textures, 900 squares of the left three quarters
are learned from, and 300 of the right quarter are not. A VAE has the decoder, d, sigma and batch
size of the generator above it and learned for as many minutes, and so did a small diffusion model
(DDPM) below its descriptor. Generators and the VAE also learn from mirrored copies of clothes and
textures. A generator's prior is a mixture of normal densities here, since there are more than 600
images; with `--components 1`, and for a VAE, it is N(0, I). `copies` is no model: it draws
training images, which the test must convict."""
FEW = """Of the ten embedded photographs none is held out: the more a model draws them, the more it
has learned, and they are copies. Each with its own number of iterations: how many of the
photographs are the nearest one of some drawn image, the mean squared distance to that on the scale
of [0, 1], KID-lite0 of {many} draws to the photographs, and the median size of the gap at the end,
in nats per dimension of f, on the grid where it is largest."""


class Case(NamedTuple):
    """A data set.

    Attributes:
        size: side of the images
        learned: gives the images to learn from, uint8 (N, H, W, C); None for the embedded ones
        unseen: gives others to evaluate on; None where the run holds some out
        latent_dim: of the models that have latents; None to let the images decide
    """

    size: int
    learned: Callable[[], np.ndarray] | None
    unseen: Callable[[], np.ndarray] | None = None
    latent_dim: int | None = None


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


def textures(begin: int, end: int, count: int) -> np.ndarray:
    """Return `count` squares of 64 x 64 of each of the textures, between these columns."""
    rng, found = np.random.default_rng(0), []
    for path in sorted((SHARED / "textures").glob("*.png")):
        grey = np.asarray(Image.open(path).convert("L"))
        rows, columns = (
            rng.integers(len(grey) - 63, size=count),
            rng.integers(begin, end - 63, count),
        )
        found += [grey[i : i + 64, j : j + 64] for i, j in zip(rows, columns, strict=True)]
    return np.stack(found)


CASES = {
    "embedded photographs": Case(64, None),
    "clothing64, 100 images": Case(64, lambda: clothing("train", 100), lambda: clothing("test")),
    "clothing64, 1000 images": Case(64, lambda: clothing("train", 1000), lambda: clothing("test")),
    "clothing64, d = 16": Case(64, lambda: clothing("train"), lambda: clothing("test"), 16),
    "clothing64, d = 64": Case(64, lambda: clothing("train"), lambda: clothing("test"), 64),
    "cifar10, 10 000 images": Case(32, lambda: packed("cifar10/train.npz")[0][:10_000]),
    "mnist_t10k": Case(32, digits),
    "textures": Case(64, lambda: textures(0, 384, 300), lambda: textures(384, 512, 100)),
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


class Place(NamedTuple):
    """Where rows are kept.

    Attributes:
        out: folder of runs and of data sets
        log: file of what was measured, one JSON object a line
        minutes: of training of each row; None for a recipe's own number of iterations
        threads: that each row is learned with
    """

    out: Path
    log: Path
    minutes: float | None
    threads: int

    def find(self, name: str, learned_by: str, seed: int) -> dict[str, Any] | None:
        """Return what was measured, the latest if it was several times; None if it was not."""
        wanted = {"images": name, "learned_by": learned_by, "seed": seed, "asked": self.minutes}
        return find(self.log, wanted)

    def asked(self) -> list[float | None]:
        """Return the minutes that rows were learned for, None for their own iterations."""
        return sorted({one["asked"] for one in logged(self.log)}, key=lambda asked: asked or 0)

    def images(self, name: str) -> Path | str:
        """Return a data set's images, as the command line takes them."""
        case = CASES[name]
        if case.learned is None:
            return EMBEDDED
        return stored(self.out / "data" / f"{slug_of(name)}.npz", case.learned)

    def unseen(self, name: str, option: str) -> list[object]:
        """Return the option that gives a data set's own test images; nothing without any."""
        case = CASES[name]
        if case.unseen is None:
            return []
        path = self.out / "data" / f"{slug_of(name)}-unseen.npz"
        return [option, stored(path, case.unseen)]

    def add(
        self, name: str, learned_by: str, seed: int, learned_at: str, **found: object
    ) -> dict[str, Any]:
        """Add what was measured to the log.

        Arguments:
            learned_at: the tree's commit when learning began
        """
        what = {"images": name, "learned_by": learned_by, "seed": seed, "asked": self.minutes}
        at = {"machine": machine(threads=self.threads), "commit": learned_at}
        whole = what | at | found
        record(self.log, whole)
        return whole


def learned(place: Place, name: str, recipe: str, seed: int) -> dict[str, Any]:
    """Return what a recipe achieves on a data set, measured now if it was not before."""
    found = place.find(name, recipe, seed)
    if found is not None:
        return found
    case, learned_at, kind = CASES[name], commit(), recipe.split()
    run = Run(place.out / f"{slug_of(name)}-{slug_of(recipe)}-{seed}-{place.minutes or 'own'}")
    words: list[object] = ["--data", place.images(name), "--out", run.folder, "--seed", seed]
    words += ["--image-size", case.size]
    words += ["--minutes", place.minutes] if place.minutes else []
    words += ["--latent-dim", case.latent_dim] if case.latent_dim and kind[0] in LATENT else []
    tigon("train", *kind, *words, threads=place.threads)
    if case.learned is not None:
        tigon("evaluate", run.folder, *place.unseen(name, "--data"), threads=place.threads)
    settings, last = run.plain_config(), run.records()[-1]
    model = {
        "d": settings.get("latent_dim"),
        "sigma": settings.get("sigma"),
        "width": settings["network"].get("width"),
        "updates": last["iteration"],
        "minutes": last["seconds"] / 60,
    }
    measured = remembered(run) if case.learned is None else evaluated(run)
    return place.add(name, recipe, seed, learned_at, **model, **measured)


def remembered(run: Run) -> dict[str, Any]:
    """Return how a model draws the few images that it has learned from, none being held out.

    Of as many drawn images as there are, and of 160: how many training images are the nearest one
    of some, the mean squared distance to it on the scale of [0, 1], and KID-lite0 to them. And the
    median size of the gap on each grid at the end, if there is one.
    """
    images, model, records = run.images().read(), run.model(), run.records()[-RECENT:]
    drawn = model.sample(MANY, RowRng(0, 0, range(MANY), "remembered")).clamp(-1, 1)
    apart = torch.cdist(drawn.flatten(1), images.flatten(1)).square() / (4 * images[0].numel())
    gaps = {
        name: median(abs(record[name]) for record in records)
        for name in records[-1]
        if name.startswith("gap")
    }
    return {
        "remembered": {
            "images": len(images),
            "covered": covered(drawn[: len(images)], images),
            "covered_by_many": covered(drawn, images),
            "distance": apart.amin(1).mean().item(),
            "kid": float(kid(features(drawn), features(images))),
            "gaps": gaps,
        }
    }


def rival(place: Place, name: str, kind: str, one: dict[str, Any]) -> dict[str, Any]:
    """Return what another kind of model achieves in the minutes that a recipe took."""
    found = place.find(name, kind, one["seed"])
    if found is not None:
        return found
    words = ["--image-size", CASES[name].size, "--seed", one["seed"]]
    words += ["--minutes", one["minutes"], *place.unseen(name, "--unseen")]
    model, *more = kind.split()
    words += more
    latent: dict[str, Any] = {"d": one["d"]} if model == "vae" else {}
    if model == "vae":
        words += ["--latent-dim", one["d"], "--sigma", one["sigma"], "--width", one["width"]]
    script, learned_at = str(ROOT / "benchmarks" / "rivals.py"), commit()
    found = alone(script, model, place.images(name), "--threads", place.threads, *words)
    return place.add(name, kind, one["seed"], learned_at, **latent, **found)


def commit() -> str:
    """Return which commit the tree is at; `+` if files were changed since, other than logs."""
    git = ["git", "-C", str(ROOT)]
    words = [*git, "rev-parse", "--short", "HEAD"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    words = [*git, "diff", "--quiet", "HEAD", "--", ".", ":!*.jsonl"]
    return found + "+" * subprocess.run(words).returncode


def slug_of(name: str) -> str:
    """Return a name as part of a file's."""
    return name.replace(",", "").replace("=", "").replace(" ", "-")


def evaluated(run: Run) -> dict[str, Any]:
    """Return what evaluation.json holds; nothing if there is none."""
    values: dict[str, Any] = {}
    if run.evaluation.exists():
        values = json.loads(run.evaluation.read_text())
    return values


def line(found: list[dict[str, Any]]) -> dict[str, str]:
    """Return a line of the table: medians over seeds, with ranges, of what was measured."""
    first = found[0]
    given = first["asked"] is not None or "--iterations" in first["learned_by"]
    own = "" if given or not first["updates"] else " (own iterations)"
    cells = {
        "images of": first["images"],
        "learned by": first["learned_by"],
        "d": str(first.get("d") or ""),
        "seeds": ", ".join(str(one["seed"]) for one in found),
        "updates": between([one["updates"] for one in found], "{:.0f}"),
        "minutes": between([one["minutes"] for one in found], "{:.1f}") + own,
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
    tested = [list(one["copies"].values()) for one in found if one.get("copies")]
    if tested:
        copied = any(test["copied"] for tests in tested for test in tests)
        larger = [min(max(t["statistic"], t["relative"]) for t in tests) for tests in tested]
        cells["copies"] = f"{'yes' if copied else 'no'} ({between(larger, '{:+.1f}')})"
    return cells


def remembered_line(found: list[dict[str, Any]]) -> dict[str, str]:
    """Return a line of the table of few images: medians over seeds, with ranges."""
    several = [one["remembered"] for one in found]
    count = several[0]["images"]
    gaps = [max(one["gaps"].values(), default=0.0) for one in several]
    return {
        "learned by": found[0]["learned_by"],
        "seeds": ", ".join(str(one["seed"]) for one in found),
        "minutes": between([one["minutes"] for one in found], "{:.1f}"),
        f"covered by {count} draws": between([one["covered"] for one in several], "{:.0f}"),
        f"by {MANY}": between([one["covered_by_many"] for one in several], "{:.0f}"),
        "distance to the nearest": between([one["distance"] for one in several], "{:.4f}"),
        "KID-lite0": between([one["kid"] for one in several], "{:.2f}"),
        "largest gap of a grid": between(gaps, "{:.2f}") if several[0]["gaps"] else "",
    }


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


def rows(place: Place, name: str, recipe: str, options: Namespace) -> Iterator[dict[str, str]]:
    """Yield the line of a recipe, and that of its rival, for a data set."""
    shown = remembered_line if CASES[name].learned is None else line
    kinds = RIVALS.get(recipe, []) if options.rivals and CASES[name].learned is not None else []
    if "--iterations" in recipe.split():  # which end the run, then, and not the minutes
        place = place._replace(minutes=None)
    if options.table:
        for asked in [place.minutes] if options.minutes else place.asked():
            there = place._replace(minutes=asked)
            for by in (recipe, *kinds):
                found = [one for seed in options.seeds if (one := there.find(name, by, seed))]
                if found:
                    yield shown(found)
        return
    found = [learned(place, name, recipe, seed) for seed in options.seeds]
    yield shown(found)
    for kind in kinds:
        yield shown([rival(place, name, kind, one) for one in found])


def main() -> None:
    """Learn, evaluate, and print the table."""
    parser = arguments(__doc__, "recipes")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--minutes", type=float, help="of training, for each row")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1, help="that each row is learned with")
    parser.add_argument("--table", action="store_true", help="print what the log has")
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "recipes")
    options = parser.parse_args()
    if not (options.table or SHARED.is_dir()):
        parser.exit(message=f"recipes: skipped, since the shared data are not at {SHARED}\n")
    place = Place(options.out, options.log, options.minutes, options.threads)
    few: list[dict[str, str]] = []
    lines: list[dict[str, str]] = []
    for name in options.only:
        whole = few if CASES[name].learned is None else lines
        for recipe in options.recipes:
            whole += rows(place, name, recipe, options)
            print(table(whole[-2:]) if whole else "", file=sys.stderr)
    if not lines and not few:
        parser.exit(1, f"recipes: {options.log} has none of these rows\n")
    minutes = f" --minutes {options.minutes:g}" if options.minutes else ""
    about = ABOUT.format(minutes=minutes, machine=machine(threads=options.threads))
    parts = [about, table(lines)] if lines else []
    parts += [FEW.format(many=MANY), table(few)] if few else []
    publish(options.write, "recipes", "\n\n".join(parts))


if __name__ == "__main__":
    main()
