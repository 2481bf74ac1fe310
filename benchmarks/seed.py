"""The original algorithms and the default recipes side by side, on the seed's images.

    python benchmarks/seed.py [--out runs/seed] [--seeds 0 1 2] [--write benchmarks/RESULTS.md]

Runs are ordinary run folders: called again, the script continues what was stopped and prints what
is finished. Gradient evaluations are forward and backward passes of the network over the whole
set. Seconds are of training alone; all runs follow one another in this process.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lite0 import covered, features, kid
from results import table, write_section
from tigon.data.pixels import saturation
from tigon.experiment import train
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.progress import progress
from tigon.recipes import Descriptor, DescriptorSeed, Generator, GeneratorSeed, Recipe
from tigon.runs import Experiment, Run
from tigon.streams import Streams
from tigon.training.iteration import Record

DATA = Path(__file__).parents[2] / "shared" / "data" / "seed"
THRESHOLDS = (0.2, 0.1, 0.05)


def learned(name: str, recipe: Recipe, data: Path, out: Path) -> Run:
    """Train, or continue, or just return a finished run."""
    with progress(f"{out.name}") as watch:
        train(Experiment(name, recipe, str(data)), out, "cpu", watchers=[watch])
    return Run(out)


def reached(records: Sequence[Record], threshold: float) -> Record | None:
    """Return the first record with a seed loss of at most this."""
    return next((record for record in records if record["seed_loss"] <= threshold), None)


def cost(record: Record | None) -> str:
    """Return the evaluations and seconds until a record."""
    if record is None:
        return "never"
    return f"{record['gradient_evaluations']:.0f} / {record['seconds']:.0f} s"


def ratios(default: Sequence[Run], original: Run) -> list[str]:
    """Return how many times fewer evaluations and seconds the default takes, its worst seed."""
    lines = []
    for threshold in THRESHOLDS:
        theirs = reached(original.records(), threshold)
        ours = [reached(run.records(), threshold) for run in default]
        reach = [record for record in ours if record is not None]
        if theirs is None or len(reach) < len(ours):
            continue
        times = {
            name: theirs[name] / max(record[name] for record in reach)
            for name in ("gradient_evaluations", "seconds")
        }
        lines.append(
            f"- To seed loss {threshold}, the slowest of {len(reach)} default runs takes "
            f"{times['gradient_evaluations']:.1f} times fewer gradient evaluations and "
            f"{times['seconds']:.1f} times fewer seconds than the original."
        )
    return lines


@torch.no_grad()
def prior_images(
    learner: GeneratorLearner, seed: int, count: int, batch_statistics: bool
) -> torch.Tensor:
    """Draw images of a generator; with norm, by running averages or by batch statistics."""
    rng = Streams(seed, 0, range(count), "benchmark")
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
        **{f"to {t}": cost(reached(records, t)) for t in THRESHOLDS},
        "seed loss": f"{statistics.mean(r['seed_loss'] for r in last):.4f}",
        "accept": f"{statistics.mean(r['accept'] for r in last):.2f}",
        "latent mean": " ".join(f"{v:.2f}" for v in records[-1]["latent_mean"]),
        "latent std": " ".join(f"{v:.2f}" for v in records[-1]["latent_std"]),
        "prior KID-lite0": f"{kid(features(few), of_training):.2f}",
        "covered (pixels)": f"{covered(many, training)} of {len(images)}",
        "covered (features)": f"{covered(features(many), of_training)} of {len(images)}",
    }


def descriptor_row(run: Run, batch_statistics: bool = False) -> dict[str, Any]:
    """Measure one descriptor run; with norm, by running averages or by batch statistics."""
    records, learner, images = run.records(), run.learner(), run.images()
    assert isinstance(learner, DescriptorLearner)
    gaps = [record["gap"] for record in records]
    index = torch.arange(len(images))
    rng = Streams(run.experiment.recipe.seed, 0, index, "benchmark")
    drawn = learner.synthesise(index, rng, batch_statistics)
    training = images.read()
    return {
        **head(run, records, batch_statistics),
        "gap from": f"{min(gaps):.2f}",
        "gap to": f"{max(gaps):.2f}",
        "abs. gap, median of last 50": f"{statistics.median(map(abs, gaps[-50:])):.3f}",
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/seed"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help="a Markdown file; its section seed is written")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"the seed's images are not at {DATA}: nothing to compare on")
    lions, egrets = DATA / "lion_tiger", DATA / "egret"
    generators, descriptors = [], []
    for seed in options.seeds:
        out = options.out / f"generator-{seed}"
        generators.append(learned("generator", Generator(seed=seed), lions, out))
        out = options.out / f"descriptor-{seed}"
        descriptors.append(learned("descriptor", Descriptor(seed=seed), egrets, out))
    original = GeneratorSeed(gradient_evaluations=9300)
    generators.append(
        learned("generator-seed", original, lions, options.out / "generator-original")
    )
    descriptors.append(
        learned("descriptor-seed", DescriptorSeed(), egrets, options.out / "descriptor-original")
    )
    text = page(generators, descriptors)
    print(text)
    if options.write:
        write_section(options.write, "seed", text)


def page(generators: Sequence[Run], descriptors: Sequence[Run]) -> str:
    """Return both tables with what they depend on."""
    machine = generators[0].environment
    generator_rows = [generator_row(run) for run in generators]
    generator_rows.append(generator_row(generators[-1], batch_statistics=True))
    descriptor_rows = [descriptor_row(run) for run in descriptors]
    descriptor_rows.append(descriptor_row(descriptors[-1], batch_statistics=True))
    parts = [
        "## The original algorithms and the default recipes",
        f"Printed by `python benchmarks/seed.py` on {machine['processor']}, {machine['cores']} "
        f"cores ({machine['threads']} thread a run), torch {machine['torch']}, {machine['when']}. "
        "One gradient evaluation is one forward and backward pass of the network over the "
        "whole set; `to 0.1` is the first iteration with a seed loss of at most 0.1. KID-lite0 "
        "(64 prior images, or one chain per "
        "start image, against the training images) is not FID. The original runs are "
        "measured twice: with running averages, as their code draws images, and with batch "
        "statistics, as they learn.",
        "### Generator: lions and tigers, d = 2, sigma 0.3",
        table(generator_rows),
        "\n".join(ratios(generators[:-1], generators[-1])),
        f"Prior KID-lite0 of the default, mean over seeds: {mean_of(generator_rows)}.",
        "### Descriptor: egrets",
        table(descriptor_rows),
        f"KID-lite0 of the default, mean over seeds: {mean_of(descriptor_rows)}.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
