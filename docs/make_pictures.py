"""Make every picture in the documents, from runs that this script trains itself.

    python docs/make_pictures.py [--only NAME ...] [--runs FOLDER]

Runs have seed 0 and are saved in FOLDER (runs/docs); existing runs are not trained again.
All images are `embedded:animal-faces`, which are CC0 or in the public domain, except for textures:
these are scikit-image's, and CC0.
"""

import argparse
import io
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from composing_picture import composed_figure
from explorer_pictures import explorer
from interpolating_picture import interpolated_figure
from made_pictures import HERE, Table, drawn, machine, rewrite, strip
from moving_picture import frames
from texture_picture import texture_figure
from tigon import figures
from tigon.data.datasets import as_data
from tigon.data.load import load_images
from tigon.data.pixels import to_uint8
from tigon.diagnostics.rules.base import Level
from tigon.errors import DivergenceError
from tigon.export.load import load
from tigon.inference.brackets import LogLikelihood
from tigon.inference.likelihood import Start, log_likelihood, simulated
from tigon.inference.score import score_all
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.learners.noise import Annealing
from tigon.mcmc.annealed import AIS
from tigon.models.generator import GeneratorModel
from tigon.random.streams import make_rng
from tigon.recipes import (
    DescriptorRecipe,
    GeneratorRecipe,
    OriginalDescriptorRecipe,
    OriginalGeneratorRecipe,
    Recipe,
    recipes,
)
from tigon.recipes.descriptor import ImageGuard
from tigon.recipes.settings import GeneratorNetwork, ImageChains, LatentChains
from tigon.report.sections import figures_of, opened
from tigon.runs.diagnosis import diagnose
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings

FACES = "embedded:animal-faces"
FOLDER = HERE / "pictures"
OFF, IMAGES_OFF = Guard(enabled=False), ImageGuard(enabled=False)
SMALL = DescriptorRecipe(image_size=32)
FAST = replace(SMALL, optimizer=replace(SMALL.optimizer, learning_rate=0.5))
RECIPES: dict[str, Recipe] = {
    "generator": GeneratorRecipe(),
    "descriptor": DescriptorRecipe(),
    "generator-small": GeneratorRecipe(image_size=32),
    "generator-tiny": GeneratorRecipe(
        image_size=16, latent_dim=8, network=GeneratorNetwork(width=32), iterations=300
    ),
    "generator-original": OriginalGeneratorRecipe(image_size=32, gradient_evaluations=1200),
    "descriptor-small": SMALL,
    "descriptor-original": OriginalDescriptorRecipe(image_size=32, gradient_evaluations=9900),
    "generator-fast": GeneratorRecipe(image_size=32, optimizer=AdamSettings(2e-2), guard=OFF),
    "generator-faster": GeneratorRecipe(image_size=32, optimizer=AdamSettings(2e-1), guard=OFF),
    "latents-hot": GeneratorRecipe(
        image_size=32,
        expand=False,
        annealing=Annealing(0.3, 0.0),
        chains=LatentChains(temperature=300.0),
    ),
    "descriptor-fast": replace(FAST, guard=IMAGES_OFF),
    "descriptor-guarded": FAST,
    "steps-long": replace(SMALL, chains=ImageChains(step_size=1.2), guard=IMAGES_OFF),
    "steps-longer": replace(SMALL, chains=ImageChains(step_size=3.6), guard=IMAGES_OFF),
    "collapsed": replace(
        SMALL, chains=ImageChains(start="mean-image", temperature=0.0), guard=IMAGES_OFF
    ),
}
SICK = {
    "generator-small": "generator, as it is",
    "generator-fast": "generator, learning rate x 10",
    "generator-faster": "generator, learning rate x 100",
    "latents-hot": "generator, latents at temperature 300, without parameter expansion",
    "descriptor-small": "descriptor, as it is",
    "descriptor-fast": "descriptor, learning rate x 10",
    "descriptor-guarded": "the same, guarded",
    "steps-long": "descriptor, step size x 10",
    "steps-longer": "descriptor, step size x 30",
    "collapsed": "descriptor, all chains from one image without noise",
}


Cases = Sequence[tuple[Start, Sequence[int]]]  # where chains start, numbers of temperatures


class Studio:
    """Trained runs by name."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    @cache  # noqa: B019
    def run(self, name: str) -> Run:
        """Train the run of this name unless it exists; a run may end because it diverges."""
        began, recipe = time.perf_counter(), RECIPES[name]
        try:
            train(Experiment(recipe_name(recipe), recipe, FACES), self.runs / name)
        except DivergenceError as error:
            print(f"{name}: {error}")
        print(f"run {name}: {time.perf_counter() - began:.0f} s", flush=True)
        return Run(self.runs / name)

    def figure(self, run: str, name: str) -> Figure:
        """Return a figure of a run's report or diagnosis."""
        shown = opened(self.run(run))
        for figure in figures_of(shown):
            if figure.name == name:
                return figure.drawing
        loaded = shown.context.learner, shown.context.images
        looked = diagnose(shown.run, loaded=loaded)
        return next(figure.drawing for figure in looked.figures if figure.name == name)


def recipe_name(recipe: Recipe) -> str:
    """Return the name of a recipe on the command line."""
    return next(name for name, kind in recipes().items() if type(recipe) is kind)


def save(name: str, figure: Figure, dpi: int = 110) -> Path:
    """Write a figure as WebP, lossless if that is smaller, as it is for curves."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    picture = Image.open(stream).convert("RGB")
    encoded = [io.BytesIO(), io.BytesIO()]
    picture.save(encoded[0], "webp", lossless=True, method=6)
    picture.save(encoded[1], "webp", quality=82, method=6)
    path = FOLDER / f"{name}.webp"
    path.write_bytes(min((data.getvalue() for data in encoded), key=len))
    return path


def latent_plane(studio: Studio) -> Path:
    """Make the README's animation, a tour through the latent plane."""
    run = studio.run("generator")
    path = FOLDER / "latent-plane.webp"
    first, *others = frames(run.learner(), run.images())
    first.save(
        path, save_all=True, append_images=others, duration=70, loop=0, quality=60, method=6
    )
    return path


def of_report(key: str, studio: Studio) -> Path:
    """Save a figure of a run's report or diagnosis."""
    return save(key, studio.figure(*REPORTED[key]), 90)


def prior_images(studio: Studio, name: str, count: int = 10) -> np.ndarray:
    """Draw images from a model, uint8 (N, H, W, C)."""
    learner = studio.run(name).learner()
    return to_uint8(learner.sample(count, make_rng("pictures", 0)))


def beside(kind: str, studio: Studio) -> Path:
    """Show images of the default and of the original, for equally many gradient evaluations."""
    rows = [
        ("training images", np.asarray(studio.run(f"{kind}-small").images().pixels)),
        (kind, prior_images(studio, f"{kind}-small")),
        (f"{kind}-original", prior_images(studio, f"{kind}-original")),
    ]
    return save(f"original-{kind}", figures.stages(rows))


def compared(
    studio: Studio, key: str, names: dict[str, str], label: str, linear: float | None = None
) -> Figure:
    """Plot one metric of several runs, on a scale that is linear up to `linear` if it is given."""
    figure = Figure((7, 3), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, shown) in zip(figures.COLOURS, names.items(), strict=False):
        records = studio.run(name).records()
        x = [record["gradient_evaluations"] for record in records]
        y = [record[key] for record in records]
        axes.plot(x, y, color=colour, linewidth=1.1, label=shown)
    axes.set_yscale("symlog", linthresh=linear) if linear else axes.set_yscale("log")
    if linear:
        axes.set_yticks([-1e16, -1e12, -1e8, -1e4, 0, 1e4, 1e8])
    axes.set_xlabel("gradient evaluations")
    axes.set_ylabel(label)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def sick_rate_generator(studio: Studio) -> Path:
    """Plot the reconstruction error at ten and a hundred times the learning rate."""
    names = {
        "generator-small": "as it is",
        "generator-fast": "learning rate x 10",
        "generator-faster": "learning rate x 100",
    }
    name, called = "reconstruction_error", "reconstruction error"
    return save("sick-rate-generator", compared(studio, name, names, called))


def sick_rate_descriptor(studio: Studio) -> Path:
    """Plot the gap at ten times the learning rate, with and without the guard."""
    names = {
        "descriptor-small": "as it is",
        "descriptor-fast": "learning rate x 10, no guard",
        "descriptor-guarded": "learning rate x 10, guarded",
    }
    figure = compared(studio, "gap", names, "gap, nats per dimension of f", linear=10.0)
    return save("sick-rate-descriptor", figure)


def sick_chains(studio: Studio) -> Path:
    """Show healthy chains, the same chains with long steps, and chains that are all the same."""
    run = studio.run("descriptor-small")
    rows = [
        ("training images", np.asarray(run.images().pixels)),
        ("as it is", prior_images(studio, "descriptor-small")),
    ]
    learner = run.learner()
    assert isinstance(learner, DescriptorLearner)
    learner.scale_steps(10.0)
    rows.append(("steps x 10", to_uint8(learner.sample(10, make_rng("pictures", 0)))))
    rows.append(("collapsed", prior_images(studio, "collapsed")))
    return save("sick-chains", figures.stages(rows))


def sick_latents(studio: Studio) -> Path:
    """Show latents that follow the prior next to some that do not, and images from the prior."""
    canvases = []
    for name in ("generator-small", "latents-hot"):
        run = studio.run(name)
        learner = run.learner()
        assert isinstance(learner, GeneratorLearner)
        points = learner.store.points.double().numpy()
        plane = figures.latent_plane(points, run.images().pixels, ("z1", "z2"))
        plane.set_size_inches(4, 4)
        canvases.append(np.vstack([drawn(plane), drawn(strip(prior_images(studio, name)))]))
    figure = Figure((8, 5.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.hstack(canvases), interpolation="none")
    axes.axis("off")
    return save("sick-latents", figure, 100)


def unusual_places(studio: Studio) -> Path:
    """Show photographs, the same with a square of another, and where models find them unusual.

    The models are those of `models/`, which learned from these photographs.
    """
    plain = load_images(FACES, 32).read()
    spoilt, rng = plain.clone(), make_rng("squares", 0)
    for row, (top, left) in enumerate(torch.randint(4, 20, (10, 2), generator=rng).tolist()):
        place = slice(top, top + 8), slice(left, left + 8)
        spoilt[row][:, *place] = plain[row - 1][:, *place]
    both = as_data(torch.cat([plain, spoilt]))
    rows = [("photographs", to_uint8(plain)), ("a square of each is of another", to_uint8(spoilt))]
    for kind in ("generator", "descriptor"):
        found = score_all(load(HERE.parent / "models" / f"faces-{kind}"), both)
        white = found.maps[:10].quantile(0.999)
        maps = (found.maps / white).clamp(max=1)[:, None].expand(-1, 3, -1, -1) * 2 - 1
        said = [f"{kind}'s map of the {which}" for which in ("photographs", "spoilt")]
        rows += zip(said, np.split(to_uint8(maps), 2), strict=True)
        scores = found.scores[found.main].view(2, 10)
        higher = int((scores[1] > scores[0]).sum())
        print(f"{kind}: {found.main} is higher with the square for {higher} of 10", flush=True)
    return save("unusual-places", figures.stages(rows))


def composed(studio: Studio) -> Path:
    """Show images of two descriptors, and of their mixture, product and quotient."""
    return save("composed", composed_figure(studio.runs), 150)


def interpolated(studio: Studio) -> Path:
    """Show lines and arcs between photographs, and photographs that latents make darker."""
    return save("interpolated", interpolated_figure(studio.runs), 150)


def texture(studio: Studio) -> Path:
    """Show two pictures, images that their textures have synthesised, and tilings."""
    return save("texture", texture_figure(studio.runs), 150)


def likelihood_brackets(studio: Studio) -> Path:
    """Plot both ends of log p over the number of temperatures, from the mode and the prior."""
    figure = Figure((8, 3.6), layout="constrained")
    known, learned = figure.subplots(1, 2)
    linear, exact = linear_model()
    ends_plotted(known, linear, exact, (("mode", (2, 20, 200)), ("prior", (5, 20, 80, 320))))
    known.set_title("a linear generator, 10 latents", fontsize=9)
    model = studio.run("generator-tiny").model().eval()
    assert isinstance(model, GeneratorModel)
    cases: Cases = (("mode", (2, 5, 20, 80)), ("prior", (10, 40, 320)))
    ends_plotted(learned, model, None, cases)
    learned.set_title(f"a generator of 16 x 16 faces, {model.latent_dim} latents", fontsize=9)
    named = learned.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return save("likelihood-brackets", figure)


def linear_model() -> tuple[GeneratorModel, Callable[[Tensor], Tensor]]:
    """Return a linear generator of 8 x 8 images, and its exact log p."""
    network = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.Unflatten(1, (1, 8, 8)))
    rng = make_rng("linear", 0)
    weight, bias = (0.2 * torch.randn(64, k, generator=rng) for k in (10, 1))
    network.load_state_dict({"0.weight": weight, "0.bias": bias[:, 0]})
    law = torch.distributions.MultivariateNormal(
        bias[:, 0].double(), (weight @ weight.T + 0.09 * torch.eye(64)).double()
    )
    return GeneratorModel(network, 10), lambda images: law.log_prob(images.flatten(1).double())


def ends_plotted(
    axes: Axes,
    model: GeneratorModel,
    exact: Callable[[Tensor], Tensor] | None,
    cases: Cases,
) -> None:
    """Plot means of the ends over four images that the model drew, less what is known best."""
    images, latents = simulated(model, 4, make_rng("pictures", 0))
    curves: dict[Start, list[LogLikelihood]] = {}
    for start, counts in cases:
        found = []
        for count in counts:
            rng = make_rng("pictures", start, count)
            found.append(log_likelihood(model, images, rng, AIS(8, count), latents, start))
        curves[start] = found
    last = curves[cases[0][0]][-1]
    best = (last.below + last.above) / 2 if exact is None else exact(images)
    for colour, (start, counts) in zip(figures.COLOURS, cases, strict=False):
        for mark, side, said in (("v", "below", "lower"), ("^", "above", "upper")):
            each = [ends._asdict() for ends in curves[start]]
            y = [(ends[side] - best).mean() for ends in each]
            bars = [ends[f"{side}_error"].norm() / len(images) for ends in each]
            label = f"{said} end, from the {start}"
            axes.errorbar(
                counts, y, bars, color=colour, marker=mark, markersize=4, capsize=2, label=label
            )
    axes.axhline(0, color="black", linewidth=0.8, label="exact, or the mean of the best ends")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("temperatures")
    axes.set_ylabel("log p less its value, nats")
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def first_clause(what: str) -> str:
    """Return the text of a finding up to its first parenthesis or semicolon."""
    return re.split(r" \(|;", what)[0]


def verdicts(studio: Studio) -> Path:
    """What `tigon diagnose` says of healthy and sick runs: a table of docs/diagnostics.md."""
    rows = Table("run", "findings that are bad")
    for name, label in SICK.items():
        diagnosis = diagnose(studio.run(name))
        bad = [
            f"**{found.name}**: {first_clause(found.what.removeprefix(f'{found.name}: '))}"
            for found in diagnosis.findings
            if found.level is Level.BAD
        ]
        rows.add(label, "; ".join(bad) or f"none: {diagnosis.verdict}")
    note = (
        f"Printed by `python docs/make_pictures.py --only verdicts` on {machine()}; ten faces of "
        "32 x 32 pixels, seed 0."
    )
    return rewrite(HERE / "diagnostics.md", "verdicts", f"{rows}\n\n{note}")


def shifted(folder: Path, sides: int = 32, room: int = 9, each: int = 12) -> None:
    """Write what is seen of each photograph through a window that moves, and a mask for each.

    A mask hides half of the pixels, at random, or a square of a quarter of the area.
    """
    whole = load_images(FACES, sides + room - 1)
    numbers = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for row, photograph in enumerate(whole.pixels):
        for number in range(each):
            top, left = numbers.integers(0, room, 2)
            seen = photograph[top : top + sides, left : left + sides]
            mask = numbers.random((sides, sides)) < 0.5
            if number % 2:
                top, left = numbers.integers(0, sides // 2, 2)
                mask[:] = True
                mask[top : top + sides // 2, left : left + sides // 2] = False
            name = f"{row}-{number:02}.png"
            Image.fromarray(seen).save(folder / "images" / name)
            Image.fromarray(np.uint8(255) * mask).save(folder / "masks" / name)


def incomplete(studio: Studio) -> Path:
    """Show images of which a part was observed, what was recovered, and the images themselves."""
    folder = studio.runs / "incomplete"
    if not (folder / "run" / "config.toml").exists():
        shifted(folder)
        recipe = GeneratorRecipe(image_size=32, latent_dim=16, sigma=0.1, iterations=500)
        recipe = replace(recipe, held_out=0.0, network=replace(recipe.network, width=16))
        experiment = Experiment(
            "generator", recipe, str(folder / "images"), mask=str(folder / "masks")
        )
        train(experiment, folder / "run", "cpu")
    run = Run(folder / "run")
    images, truth = run.images(), load_images(folder / "images", 32)
    some = [12 * row + row % 2 for row in range(10)]
    batch = images.batch(torch.tensor(some))
    recovered = run.learner().completed(batch, make_rng("pictures", 0)).images
    rows = [
        ("observed", to_uint8(batch.images)),
        ("what the model recovered of them while it learned", to_uint8(recovered)),
        ("the images themselves", truth.pixels[some]),
    ]
    return save("incomplete", figures.stages(rows))


REPORTED = {
    "generator-reconstructions": ("generator", "figure-1-reconstructions"),
    "generator-prior": ("generator", "figure-2-prior"),
    "generator-latent-grid": ("generator", "figure-3-latent-grid"),
    "generator-loss": ("generator", "figure-4-loss"),
    "generator-latents": ("generator", "latents"),
    "descriptor-synthesised": ("descriptor", "figure-5-synthesised"),
    "descriptor-gap": ("descriptor", "figure-6-gap"),
    "descriptor-long-run": ("descriptor", "diagnosis-long-run"),
}
PICTURES: dict[str, Callable[[Studio], Path]] = {
    "latent-plane": latent_plane,
    **{key: partial(of_report, key) for key in REPORTED},
    **{f"original-{kind}": partial(beside, kind) for kind in ("generator", "descriptor")},
    **{f"explorer-{kind}": partial(explorer, kind) for kind in ("generator", "descriptor")},
    "sick-rate-generator": sick_rate_generator,
    "sick-rate-descriptor": sick_rate_descriptor,
    "sick-chains": sick_chains,
    "sick-latents": sick_latents,
    "unusual-places": unusual_places,
    "texture": texture,
    "composed": composed,
    "interpolated": interpolated,
    "likelihood-brackets": likelihood_brackets,
    "incomplete": incomplete,
    "verdicts": verdicts,
}


def main(words: Sequence[str] | None = None) -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), metavar="NAME")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "docs")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    studio, began = Studio(given.runs), time.perf_counter()
    for name in given.only or PICTURES:
        path = PICTURES[name](studio)
        print(f"{path.relative_to(HERE.parent)}: {path.stat().st_size / 1000:.0f} kB", flush=True)
    print(f"seed 0, {machine()}; {time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
