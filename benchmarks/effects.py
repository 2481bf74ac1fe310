"""What each part of the generator's recipe does: one part removed or changed at a time.

    python benchmarks/effects.py [--seeds 0 1 2] [--evaluations 600] [--write FILE.md]

The default recipe and its variants are trained on the lions and tigers of the original
experiments, with the same budget of gradient evaluations (passes over the whole set), one seed
after the other. One thread; CPU seconds.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from costs import reached
from lite0 import covered
from measuring import arguments, publish
from plain import DATA
from results import machine, table
from tigon import ImageSet, Preconditioned, RowRng, Trainer, make_rng
from tigon.data.batches import Batch
from tigon.densities.log_density import value_and_grad
from tigon.diagnostics.distances import kid
from tigon.diagnostics.features import features
from tigon.learners.base import Record
from tigon.learners.generator import GeneratorLearner
from tigon.learners.noise import Annealing
from tigon.mcmc.kernel import innermost
from tigon.recipes import GeneratorRecipe

THRESHOLDS = (0.1, 0.05)
EVERY = 20  # iterations between two estimates of the preconditioner
Prepare = Callable[[Trainer], None]


def nothing(trainer: Trainer) -> None:
    """Continue chains where they were."""


def from_the_prior(trainer: Trainer) -> None:
    """Restart all chains at draws from the prior."""
    learner = trainer.learner
    assert isinstance(learner, GeneratorLearner)
    rng = make_rng("anew", trainer.seed, trainer.iteration)
    learner.restart_chains(torch.arange(len(learner.store)), rng)


class FromANetwork:
    """Start all chains where a network, which learns the latents inferred before, says."""

    def __call__(self, trainer: Trainer) -> None:
        """Take one training step of the network, and write its outputs to the store."""
        learner, images = trainer.learner, trainer.data.read()
        assert isinstance(learner, GeneratorLearner)
        if trainer.iteration == 0:
            self.network = encoder(learner.model.latent_dim, trainer.seed)
            self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        away = (self.network(images) - learner.store.points) ** 2
        self.optimizer.zero_grad()
        away.mean().backward()
        self.optimizer.step()
        with torch.no_grad():
            learner.store.replace(lambda _: self.network(images))


def encoder(latent_dim: int, seed: int) -> nn.Module:
    """Return a network from images (B, 3, 64, 64) to latents (B, d)."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for channels, more in ((3, 16), (16, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(channels, more, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, latent_dim))


def precondition(trainer: Trainer) -> None:
    """Give each latent the scale of its gradients, in the mean over images, now and then."""
    if trainer.iteration % EVERY:
        return
    learner, images = trainer.learner, trainer.data.read()
    assert isinstance(learner, GeneratorLearner)
    batch = Batch(images, torch.arange(len(images)))
    with learner.chain_density(batch) as log_density:
        _, gradient = value_and_grad(log_density, learner.store.points)
    learner.gradient_evaluations += len(images)
    scale = (gradient**2).mean(0).rsqrt()
    scale /= scale.log().mean().exp()
    kernel = innermost(learner.chains.kernel)
    learner.chains = replace(learner.chains, kernel=Preconditioned(kernel, scale))


@dataclass(frozen=True)
class Variant:
    """A recipe, what is done before each iteration, and what came of its runs.

    Attributes:
        costs: gradient evaluations and seconds to each threshold that was reached, a run each
        losses, distances, cover: reconstruction error of the last 20 iterations, KID-lite0 of 64
            images of
            the prior, how many training images are the nearest one of 256 of them
    """

    name: str
    recipe: GeneratorRecipe
    prepare: Prepare = nothing
    costs: list[dict[float, tuple[float, float]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    cover: list[int] = field(default_factory=list)


def variants(evaluations: int) -> list[Variant]:
    """Return the default recipe first, then its changes."""
    sigma = 0.3
    base = GeneratorRecipe(sigma=sigma, gradient_evaluations=evaluations)
    chains = base.chains
    adapted = replace(base, chains=replace(chains, gain=0.0))
    unadjusted = replace(base, chains=replace(chains, kernel="langevin"))
    fine = replace(base, chains=replace(chains, kernel="langevin", step_size=0.03))
    hmc = replace(base, chains=replace(chains, kernel="hmc"))
    three, ten = (replace(base, chains=replace(chains, steps=n)) for n in (3, 10))
    return [
        Variant("default", base),
        Variant("loss in bfloat16", replace(base, precision="bfloat16")),
        Variant("3 chain steps an update", three),
        Variant("10 chain steps an update", ten),
        Variant("chains from the prior, 10 steps", ten, from_the_prior),
        Variant("chains from a network, 1 step", base, FromANetwork()),
        Variant("chains from a network, 3 steps", three, FromANetwork()),
        Variant("latents preconditioned by their gradients", base, precondition),
        Variant("step size 0.1, not adapted", adapted),
        Variant("unadjusted Langevin, step size 0.1", unadjusted),
        Variant("unadjusted Langevin, step size 0.03", fine),
        Variant("HMC of 4 leapfrog steps", hmc),
        Variant("sigma not annealed", replace(base, annealing=Annealing(sigma, 0.0))),
        Variant("no parameter expansion", replace(base, expand=False)),
    ]


def learn(variant: Variant, images: ImageSet, seed: int) -> None:
    """Run one variant with one seed, and record the results."""
    trainer = replace(variant.recipe, seed=seed).trainer(images)
    records: list[Record] = []
    cost: dict[float, tuple[float, float]] = {}
    began = time.process_time()
    while not trainer.finished:
        variant.prepare(trainer)
        records.append(trainer.step())
        for threshold in THRESHOLDS:
            if threshold not in cost and reached(records[-1:], threshold):
                spent = time.process_time() - began
                cost[threshold] = (records[-1]["gradient_evaluations"], spent)
    variant.seconds.append(time.process_time() - began)
    variant.costs.append(cost)
    variant.losses.append(statistics.mean(r["reconstruction_error"] for r in records[-20:]))
    seen = images.read()
    drawn = trainer.learner.sample(256, RowRng(seed, 0, range(256), "benchmark"))
    variant.distances.append(kid(features(drawn[:64]), features(seen)))
    variant.cover.append(covered(drawn, seen))


def row(variant: Variant, count: int) -> dict[str, str]:
    """Return the table's row of a variant: medians over its runs."""
    cells = {"recipe": variant.name}
    for threshold in THRESHOLDS:
        some = [cost[threshold] for cost in variant.costs if threshold in cost]
        known = len(some) * 2 > len(variant.costs)
        cells[f"to {threshold:g}"] = shown(some) if known else "not reached"
    return cells | {
        "seconds in all": f"{statistics.median(variant.seconds):.0f}",
        "reconstruction error": f"{statistics.median(variant.losses):.4f}",
        "prior KID-lite0": f"{statistics.median(variant.distances):.2f}",
        "covered": f"{statistics.median(variant.cover):g} of {count}",
    }


def shown(some: Sequence[tuple[float, float]]) -> str:
    """Return the median evaluations and seconds of the runs that came to a threshold."""
    evaluations, seconds = (statistics.median(values) for values in zip(*some, strict=True))
    return f"{evaluations:.0f} / {seconds:.1f} s"


def main() -> None:
    """Run everything, print the table, and write it."""
    parser = arguments(__doc__, "effects")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--evaluations", type=int, default=600)
    options = parser.parse_args()
    torch.set_num_threads(1)
    every, images = variants(options.evaluations), GeneratorRecipe().load(str(DATA))
    for seed in options.seeds:
        for variant in every:
            learn(variant, images, seed)
            print(f"seed {seed}, {variant.name}: {variant.losses[-1]:.4f}", flush=True)
    text = "\n\n".join(
        [
            "## What each part of the generator's recipe does",
            f"Printed by `python benchmarks/effects.py` on {machine()}; lions and tigers, d = 2, "
            f"{options.evaluations} gradient evaluations a run, seeds "
            f"{', '.join(map(str, options.seeds))}: medians. `to 0.1`: gradient evaluations and "
            "CPU seconds to the first iteration with a loss, as the original prints it, of at "
            "most that, of the runs that came to it. KID-lite0 (64 images of the prior against "
            "the training images) is "
            "not FID; covered: training images that are the nearest one of any of 256 images.",
            table([row(variant, len(images)) for variant in every]),
            NOTES.strip(),
        ]
    )
    publish(options.write, "effects", text)


NOTES = """
- Chains that start from the prior pay for each inference anew, and chains long enough to arrive
  leave fewer updates in the same budget.
- The network learns the latents that the last chains ended at, by one step an iteration, whose
  time counts, and starts all chains in the place of where they were. The preconditioner costs a
  gradient evaluation every 20 iterations. Recipes have neither.
"""

if __name__ == "__main__":
    main()
