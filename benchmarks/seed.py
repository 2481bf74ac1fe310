"""The default recipes, the original algorithms and a plain PyTorch loop, side by side.

    python benchmarks/seed.py [--out runs/seed] [--seeds 0 1 2 3 4] [--write benchmarks/RESULTS.md]
    python benchmarks/seed.py --no-originals --descriptor-seeds    # tigon's and plain, in minutes
    python benchmarks/seed.py --no-originals --seeds               # descriptors alone

An original generator's run ends when it has come to the loss `--until`, or has spent
`--evaluations`; a run of `plain.py` when it has come to the last threshold, or has spent
`--plain-evaluations`. Runs are ordinary run folders, or a file of records: called again, the
script continues what was stopped and prints what is finished. Gradient evaluations are forward
and backward passes of the network over the whole set. Seconds are of training alone; all runs
follow one another in this process, the contestants in turn.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import costs
from costs import ORIGINAL, reached
from lite0 import covered
from measuring import arguments, publish
from plain import DATA, STEPS, learn
from results import table
from tigon.cli.progress import progress
from tigon.data.batches import Batch
from tigon.data.load import load_images
from tigon.data.pixels import saturation
from tigon.diagnostics.distances import kid
from tigon.diagnostics.features import features
from tigon.diagnostics.probes import run_free
from tigon.diagnostics.two_samples import latents_test
from tigon.files import replace_file
from tigon.learners.base import Record
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.random.streams import RowRng, make_rng
from tigon.recipes import (
    DescriptorRecipe,
    GeneratorRecipe,
    OriginalDescriptorRecipe,
    OriginalGeneratorRecipe,
    Recipe,
)
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.trainer import Trainer

THRESHOLDS = (0.2, 0.1, 0.05)
COMPARED, LEAST = (0.1, 0.05), 20  # thresholds of the criteria; times less than the original


def learned(name: str, recipe: Recipe, data: Path, out: Path, until: float = 0.0) -> Run:
    """Train or continue a run, or return it if it is finished or has reached a loss."""
    come = out.is_dir() and until > 0 and reached(Run(out).records(), until) is not None

    def note(trainer: Trainer, record: Record) -> None:
        nonlocal come
        come = come or record.get("reconstruction_error", 1e9) <= ORIGINAL * until

    if not come:
        with progress(f"{out.name}") as watch:
            experiment = Experiment(name, recipe, str(data))
            train(
                experiment,
                out,
                "cpu",
                callbacks=[watch, note],
                stop=lambda: come,
                changed=until > 0,
            )
    return Run(out)


def plainly(seed: int, evaluations: int, out: Path) -> list[Record]:
    """Train with `plain.py`, or return the records of such a run if it is finished."""
    if out.exists():
        records = json.loads(out.read_text())
        spent = records[-1]["gradient_evaluations"] + STEPS + 1 > evaluations
        if spent or reached(records, THRESHOLDS[-1]):
            return records
    records = []
    with torch.random.fork_rng():
        for record in learn(load_images(DATA).read(), seed):
            records.append(record)
            spent = record["gradient_evaluations"] + STEPS + 1 > evaluations
            if spent or record["reconstruction_error"] <= ORIGINAL * THRESHOLDS[-1]:
                break
    replace_file(out, json.dumps(records))
    return records


@torch.no_grad()
def prior_images(
    learner: GeneratorLearner, seed: int, count: int, batch_statistics: bool
) -> torch.Tensor:
    """Draw images of a generator; with norm, by running averages or by batch statistics."""
    rng = RowRng(seed, 0, range(count), "benchmark")
    latents = learner.model.latents(count, rng, learner.store.points)
    if not batch_statistics:
        return learner.decode(latents)
    return torch.cat([learner.model.train()(part) for part in latents.split(64)])


def head(run: Run, records: Sequence[Record], batch_statistics: bool) -> dict[str, str]:
    """Return the columns that every row begins with."""
    return {
        "run": run.folder.name + (", batch statistics" if batch_statistics else ""),
        "evaluations": f"{records[-1]['gradient_evaluations']:.0f}",
        "seconds": f"{records[-1]['seconds']:.0f}",
    }


def first(records: Sequence[Record], threshold: float) -> str:
    """Return the evaluations and seconds until a run came to a threshold."""
    record = reached(records, threshold)
    if record is None:
        return f"not within {records[-1]['gradient_evaluations']:.0f}"
    return f"{record['gradient_evaluations']:.0f} / {record['seconds']:.0f} s"


def evidence(run: Run) -> dict[str, str]:
    """Return what is not enforced about a generator's latents: see `tigon diagnose`."""
    learner, images = run.learner(), run.images()
    assert isinstance(learner, GeneratorLearner)
    index = torch.arange(len(images))
    batch, seed = Batch(images.read(index), index), run.experiment.recipe.seed
    free = run_free(learner, batch, RowRng(seed, 0, index, "benchmark, free"))
    rng = make_rng("benchmark, prior", seed)
    if not free.latents.isfinite().all():
        return {"travelled": "not finite", "free latent std": "not finite", "latents' p": ""}
    test = latents_test(free.latents, lambda n: learner.model.latents(n, rng, learner.like))
    return {
        "travelled": f"{free.travel:.3f}",
        "free latent std": " ".join(f"{v:.2f}" for v in free.latents.std(0, correction=0)),
        "latents' p": f"{test.p_value:.2g}",
    }


def generator_row(run: Run, batch_statistics: bool = False) -> dict[str, Any]:
    """Measure one generator run."""
    records, learner, images = run.records(), run.learner(), run.images()
    assert isinstance(learner, GeneratorLearner)
    training = images.read()
    of_training = features(training)
    seed = run.experiment.recipe.seed
    few = prior_images(learner, seed, 64, batch_statistics)
    many = prior_images(learner, seed, 256, batch_statistics)
    last = records[-20:]
    return {
        **head(run, records, batch_statistics),
        **{f"to {t}": first(records, t) for t in THRESHOLDS},
        "reconstruction error": f"{statistics.mean(r['reconstruction_error'] for r in last):.5f}",
        "accept": f"{statistics.mean(r['accept'] for r in last):.2f}",
        **evidence(run),
        "prior KID-lite0": f"{kid(features(few), of_training):.2f}",
        "covered (pixels)": f"{covered(many, training)} of {len(images)}",
        "covered (features)": f"{covered(features(many), of_training)} of {len(images)}",
    }


def descriptor_row(run: Run, batch_statistics: bool = False) -> dict[str, Any]:
    """Measure one descriptor run; with norm, by running averages or by batch statistics."""
    records, learner, images = run.records(), run.learner(), run.images()
    recipe = run.experiment.recipe
    assert isinstance(learner, DescriptorLearner) and isinstance(recipe, DescriptorRecipe)
    gaps = [record["gap"] for record in records]
    usual = statistics.median(map(abs, gaps[-50:]))
    index = torch.arange(len(images))
    rng = RowRng(recipe.seed, 0, index, "benchmark")
    drawn = learner.synthesise(index, rng, batch_statistics)
    training = images.read()
    return {
        **head(run, records, batch_statistics),
        "gap from": f"{min(gaps):.2f}",
        "gap to": f"{max(gaps):.2f}",
        "abs. gap, median of last 50": f"{usual:.3f}",
        "the same over T": f"{usual / recipe.chains.temperature:.0f}",
        "outside": f"{100 * saturation(drawn).item():.2f} %",
        "KID-lite0": f"{kid(features(drawn), features(training)):.2f}",
        "covered (pixels)": f"{covered(drawn.clamp(-1, 1), training)} of {len(images)}",
        "covered (features)": f"{covered(features(drawn), features(training))} of {len(images)}",
    }


def mean_of(rows: Sequence[dict[str, Any]]) -> str:
    """Return the mean KID-lite0 of the default recipe's rows."""
    values = [
        float(value)
        for row in rows
        for name, value in row.items()
        if name.endswith("KID-lite0") and "original" not in row["run"]
    ]
    return f"{statistics.mean(values):.2f}"


def main() -> None:
    """Run everything and print the tables."""
    parser = arguments(__doc__, "seed")
    parser.add_argument("--out", type=Path, default=Path("runs/seed"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--descriptor-seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--originals", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--until", type=float, default=0.1, help="loss, as it prints it, to end an original at"
    )
    parser.add_argument("--evaluations", type=int, default=6900, help="most of an original's run")
    parser.add_argument("--plain-evaluations", type=int, default=2000, help="most of a plain run")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"the images of the original experiments are not at {DATA}")
    if options.originals and not options.seeds:
        parser.error("--seeds: the originals need at least one; or give --no-originals")
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if not options.seeds:
        return publish(options.write, "seed-descriptors", alone(descriptors(options)))
    generators, originals, plain = [], [], []
    for seed in options.seeds:
        out = options.out / f"generator-{seed}"
        generators.append(learned("generator", GeneratorRecipe(seed=seed), DATA, out))
        file = options.out / f"plain-{seed}.json"
        plain.append(plainly(seed, options.plain_evaluations, file))
        recipe = OriginalGeneratorRecipe(seed=seed, gradient_evaluations=options.evaluations)
        out = options.out / f"generator-original-{seed}"
        if options.originals:
            originals.append(learned("generator-original", recipe, DATA, out, options.until))
    runs = {"default": [run.records() for run in generators], "plain PyTorch": plain}
    if originals:
        runs["original"] = [run.records() for run in originals]
    text = page(
        generators, originals, runs, descriptors(options) if options.descriptor_seeds else []
    )
    if not originals:
        return publish(options.write, "seed-defaults", text)
    figures = [costs.figure(runs["original"], runs["default"], t, LEAST) for t in COMPARED]
    publish(options.write, "seed", text, figures)


def descriptors(options: argparse.Namespace) -> list[Run]:
    """Run the descriptors, the original last."""
    data, runs = DATA.with_name("egret"), []
    for seed in options.descriptor_seeds:
        out = options.out / f"descriptor-{seed}"
        runs.append(learned("descriptor", DescriptorRecipe(seed=seed), data, out))
    if not options.originals:
        return runs
    out = options.out / "descriptor-original"
    return [*runs, learned("descriptor-original", OriginalDescriptorRecipe(), data, out)]


def page(
    generators: Sequence[Run],
    originals: Sequence[Run],
    runs: dict[str, list[list[Record]]],
    of_images: Sequence[Run],
) -> str:
    """Return the tables with what they depend on; those of descriptors where there are any."""
    machine = generators[0].environment
    rows = [generator_row(run) for run in [*generators, *originals]]
    rows += [generator_row(run, batch_statistics=True) for run in originals[-1:]]
    whose = "The original algorithms and the" if originals else "The"
    parts = [
        f"## {whose} default recipes beside plain PyTorch",
        f"Printed by `python benchmarks/seed.py` on {machine['processor']}, {machine['cores']} "
        f"cores ({machine['threads']} thread a run), torch {machine['torch']}, {machine['when']}. "
        "One gradient evaluation is one forward and backward pass of the network over the "
        "whole set; `to 0.1` is the first iteration with a reconstruction error of at most 0.018, "
        "the original's loss 0.1. KID-lite0 (64 prior images, or one chain per "
        "start image, against the training images) is not FID. An original run is "
        "measured twice: with running averages, as their code draws images, and with batch "
        "statistics, as they learn.",
        "### Generator: lions and tigers, d = 2, sigma 0.3",
        f"Medians over {len(generators)} seeds, and ranges. Original runs end at the loss "
        "that they were to reach, or their budget; plain PyTorch is `plain.py`, a loop without "
        "tigon on a generator of the default's size. Times the default's are ratios of medians.",
        *(table(costs.rows(runs, "default", threshold)) for threshold in COMPARED),
        "Each run, at its end:",
        table(rows),
        f"Prior KID-lite0 of the default, mean over seeds: {mean_of(rows)}.",
    ]
    return "\n\n".join([*parts, *(descriptor_parts(of_images) if of_images else [])]) + "\n"


def alone(runs: Sequence[Run]) -> str:
    """Return the table of descriptors, with what it depends on."""
    machine = runs[0].environment
    about = (
        "Printed by `python benchmarks/seed.py --no-originals --seeds` on "
        f"{machine['processor']}, {machine['cores']} cores ({machine['threads']} thread a run), "
        f"torch {machine['torch']}, {machine['when']}. KID-lite0 of one chain per start image, "
        "against the training images."
    )
    head = "## The default descriptor of the original's egrets"
    return "\n\n".join([head, about, *descriptor_parts(runs)[1:]])


def descriptor_parts(runs: Sequence[Run]) -> list[str]:
    """Return the table of descriptors, an original last and twice."""
    rows = [descriptor_row(run) for run in runs]
    if isinstance(runs[-1].experiment.recipe, OriginalDescriptorRecipe):
        rows.append(descriptor_row(runs[-1], batch_statistics=True))
    return [
        "### Descriptor: egrets",
        table(rows),
        f"KID-lite0 of the default, mean over seeds: {mean_of(rows)}.",
    ]


if __name__ == "__main__":
    main()
