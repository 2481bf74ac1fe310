"""Recipes that train a generator by real inference."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import ImageData
from tigon.data.cache_place import cache_folder
from tigon.data.images import ImageSet
from tigon.data.mirrored import distinct
from tigon.data.pixels import to_uint8
from tigon.densities.gaussian import Prior
from tigon.densities.mixture import GaussianMixture
from tigon.distributed import Ownership, world
from tigon.inference.interpolation import Plane, latent_plane
from tigon.learners.base import RECENT, Record
from tigon.learners.generator import GeneratorLearner
from tigon.learners.linear_start import LinearStart
from tigon.learners.metrics import ACCEPT, by_name
from tigon.learners.noise import FIRST, Annealing, LearnedNoise
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.models.cold_start import LinearGuess
from tigon.models.generator import GeneratorModel
from tigon.models.residuals import Residuals
from tigon.nn.dcgan import DCGANGenerator
from tigon.random.streams import make_rng
from tigon.recipes.base import ORIGINAL, SAMPLES, Choice, Growth, Recipe, RunContext, Stages
from tigon.recipes.settings import (
    GeneratorNetwork,
    LatentChains,
    known,
    require,
)
from tigon.sizes import averaged_size, sides
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings

if TYPE_CHECKING:
    from tigon.diagnostics.examination import Examination
    from tigon.diagnostics.rules.base import Finding
    from tigon.figures import Figure

EXPLAINED, FEWEST, MOST, IMAGES = 0.8, 2, 100, 8  # of variance; latents; images for each of them
EACH, COMPONENTS = 300, 30  # images for each density of the mixture, and most of these
FORM = ("image_size", "fit", "channels", "mirror", "frames", "max_pixels")
THUMBNAILS, HISTOGRAM_COORDINATES = 100, 8
KERNELS = {
    "mala": "MALA",
    "hmc": "Hamiltonian Monte Carlo",
    "langevin": "unadjusted Langevin dynamics",
}


@dataclass(frozen=True)
class GeneratorRecipe(Recipe):
    """Train a generator by real inference: MALA moves latents, gradient steps move weights.

    Arguments:
        latent_dim: d, the number of latents; with 2 you can view the latent plane, with 100
            images are sharper; if not given, as many as principal components that explain 80 % of
            the images' variance, at least 2, and at most one for 8 images, or 100
        sigma: standard deviation of the noise around f(z), on the scale of [-1, 1]; `learn`
            fits it to the chains' residuals by maximum likelihood
        sigma_floor: smallest value of a learned sigma; 0.01 is 1.3 of 255 grey levels
        annealing: annealing of sigma, from a larger value at the start
        start: where latent chains start: `linear`, at the whitened principal scores of the images,
            which the linear generator has as their latents, or at draws of the `prior`
        components: normal densities that are mixed in the prior of latents, and fitted to those
            that are inferred, >= 1; 1 stands for N(0, I), whose moments they have anyway; if not
            given, one for 300 images, with their mirrored copies, and at most 30
        expand: move all inferred latents towards the prior's moments, each time a tenth has moved
        average_likelihood: weight the likelihood by 1/n as the original did; for comparison only
        network: a fully connected layer and transposed convolutions
        chains: inference of latents
    """

    model_type: ClassVar[type[Model]] = GeneratorModel
    name: ClassVar = "generator"
    about: ClassVar = "decodes latents that chains infer for each image"
    noun: ClassVar = "generator"
    demo: ClassVar = True
    card: ClassVar = "generator-card.md.jinja"
    learner_type: ClassVar[type[GeneratorLearner]] = GeneratorLearner
    persistent: ClassVar[bool] = True
    growth: ClassVar[Growth] = Growth(400, 0.35, each=0.75)
    chosen: ClassVar[tuple[str, ...]] = (*Recipe.chosen, "latent_dim", "components")
    stages: ClassVar = Stages(
        "figure-1-reconstructions",
        "Reconstructions as the model learns",
        "The first training images, and below them f(z) at their inferred latents after some "
        "iterations.",
    )
    panels: ClassVar[tuple[str, ...]] = (
        "plane",
        "picture",
        "inference",
        "fill",
        "score",
        "curves",
    )
    drawn: ClassVar[str] = "f(z)"  # what its images are, in words
    parts: ClassVar[tuple[str, ...]] = ()  # fields of what it has besides a decoder

    latent_dim: int | None = None
    sigma: float | Literal["learn"] = 0.3
    sigma_floor: float = 0.01
    iterations: int | None = None
    batch_size: int = 16
    annealing: Annealing = Annealing()
    start: Literal["linear", "prior"] = "linear"
    components: int | None = None
    expand: bool = True
    average_likelihood: bool = False
    network: GeneratorNetwork = GeneratorNetwork()
    chains: LatentChains = LatentChains()
    optimizer: AdamSettings = AdamSettings(learning_rate=2e-3)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.latent_dim is None or self.latent_dim >= 1,
            f"latent_dim must be at least 1, not {self.latent_dim}",
        )
        require(
            self.components is None or self.components >= 1,
            f"components must be at least 1, not {self.components}",
        )
        require(self._first_sigma > 0, f"sigma must be above 0, not {self.sigma}")
        require(self.sigma_floor > 0, f"sigma_floor must be above 0, not {self.sigma_floor}")
        require(
            not (self.average_likelihood and self.sigma == "learn"),
            "sigma cannot be learned with an averaged likelihood: give a number, or use "
            "generator instead of generator-original",
        )
        start, until = self.annealing.start, self.annealing.until
        require(start > 0, f"annealing.start must be above 0, not {start}")
        require(0 <= until <= 1, f"annealing.until must be in [0, 1], not {until}")

    @property
    def _dim(self) -> int:
        """The number of latents."""
        return known(self.latent_dim, "latent_dim")

    @property
    def _components(self) -> int:
        """The number of densities; 1 while it is neither given nor chosen yet (`resolved`)."""
        return self.components or 1

    def choices(self, images: ImageData) -> dict[str, Choice]:
        """Return what these images decide of what is not given: also latents, and their prior."""
        found = super().choices(images)
        if self.latent_dim is None:
            found["latent_dim"] = _latents(images, self.seed)
        if self.components is None:
            why = f"normal densities in the prior: one for {EACH} images, at most {COMPONENTS}"
            number = min(max(1, len(images) // EACH), COMPONENTS)
            found["components"] = Choice(number, why)
        return found

    @property
    def _first_sigma(self) -> float:
        """The initial sigma."""
        return max(FIRST, self.sigma_floor) if self.sigma == "learn" else self.sigma

    def model(self) -> GeneratorModel:
        """Return the generator with its initial weights."""
        network = DCGANGenerator(
            self._dim,
            self.image_size,
            self.channels,
            self.network.width,
            self.network.kernel_size,
            self.network.norm,
            make_rng("weights", self.seed),
        )
        guess = residuals = None
        if self.start == "linear":
            size = averaged_size(self.image_size)
            residuals = Residuals((self.channels, *sides(self.image_size)))
            guess = LinearGuess(self._dim, (self.channels, *sides(size)))
        model = GeneratorModel(
            network, self._dim, self._first_sigma, self._prior(), guess, residuals
        )
        model.fit = self.fit
        return model

    @property
    def prior(self) -> str:
        """The prior of the latents, in words."""
        count = self._components
        return f"a mixture of {count} normal densities" if count > 1 else "N(0, I)"

    def _prior(self) -> Prior | None:
        """Return the prior of the latents; None stands for N(0, I)."""
        return self._mixture()

    def _mixture(self) -> GaussianMixture | None:
        """Return a mixture that is to be fitted to the latents; None stands for N(0, I)."""
        count = self._components
        return GaussianMixture(self._dim, count) if count > 1 else None

    def learner(self, images: ImageData) -> GeneratorLearner:
        """Return a new generator learner.

        With a linear start, decoded images begin at the mean colour. Of one image, or images that
        are all the same, latents start at draws of the prior.
        """
        start = None
        if self.start == "linear":
            with suppress(ValueError):
                start = LinearStart(images, self._dim, self.seed)
        learner = self._build(len(images), images.ownership, start)
        network = learner.model.network
        if start is not None and isinstance(network, DCGANGenerator):
            network.begin_at(start.colour)
        return learner

    def restored(
        self, chains: dict[str, Tensor], files: ChainStore | None = None
    ) -> GeneratorLearner:
        """Return a generator learner with these chain rows; each process has its own in memory."""
        if files is not None and world().size > 1:
            chains = chains | {"points": files.points}
            in_memory = replace(self, chains=replace(self.chains, store="memory"))
            return in_memory.restored(chains)
        learner = self._build(len(chains["points"]) if files is None else files)
        learner.load_chains(chains, files)
        return learner

    def _build(
        self,
        chains: int | ChainStore,
        ownership: Ownership | None = None,
        start: LinearStart | None = None,
    ) -> GeneratorLearner:
        return self.learner_type(
            self.model(),
            chains,
            self.chains.build(),
            self.expand,
            self.annealing,
            self.average_likelihood,
            make_rng("latents", self.seed),
            cache_folder() if self.chains.store == "files" else None,
            ownership,
            LearnedNoise(self.sigma_floor) if self.sigma == "learn" else None,
            start,
            **self._options(),
        )

    def _options(self) -> dict[str, Any]:
        """Return the arguments of the learner that only this kind of generator has."""
        return {}

    def begun_from(self, origin: Recipe) -> Self:
        """Return this recipe with the images' form, decoder, latents and sigma of another's model.

        Sigma is not annealed again.
        """
        if not isinstance(self, type(origin)):
            own = dict.fromkeys((GeneratorRecipe.name, self.name))
            raise ValueError(f"a {self.name} begins where a {' or '.join(own)} ended")
        names = [*FORM, "held_out", "latent_dim", "components"]
        names += ["network", "sigma", "sigma_floor", "start", "expand"]
        names += self.parts if type(origin) is type(self) else ()
        kept = {
            name: getattr(origin, name)
            for name in names
            if getattr(self, name) == getattr(type(self), name)
        }
        if self.annealing == type(self).annealing:
            kept["annealing"] = Annealing(until=0.0)
        return replace(self, **kept)

    def describe(self) -> str:
        """Say what the model is, and how its latents are inferred."""
        noise = "sigma, which is learned" if self.sigma == "learn" else f"{self.sigma:g}"
        return (
            f"A generator: images are f(z) plus noise of standard deviation {noise}, "
            f"with {self._dim} latents z, whose prior is {self.prior}. Latents of the training "
            f"images are inferred by {KERNELS[self.chains.kernel]} "
            f"at temperature {self.chains.temperature:g}."
        )

    def results(self, context: RunContext) -> dict[str, str]:
        """Return temperature, reconstruction error, sigma and acceptance."""
        recent, last = context.records[-RECENT:], context.records[-20:]
        learned = ", learned" if context.learner.noise else ""
        error, accept = (
            by_name(self.metrics, name) for name in ("reconstruction_error", "accept")
        )
        return {
            "temperature": f"{self.chains.temperature:g}",
            "reconstruction error": f"{error.mean(last):.4g} (mean square on [-1, 1], lower is "
            f"better; mean of the last {len(last)} logged)",
            "sigma": f"{context.learner.model.sigma.item():.3g}{learned}; the residual is "
            f"{error.mean(recent) ** 0.5:.3g} (root of the reconstruction error; mean of the last "
            f"{len(recent)} logged)",
            "acceptance": f"{accept.mean(recent):.2f} (healthy: {ACCEPT[0]:g} to {ACCEPT[1]:g}; "
            f"mean of the last {len(recent)} logged)",
        }

    def summary(self, records: list[Record]) -> dict[str, str]:
        """Return reconstruction error and acceptance, for the model card."""
        recent = records[-RECENT:]
        said = f"mean over the last {len(recent)} logged iterations"
        error, accept = (
            by_name(self.metrics, name) for name in ("reconstruction_error", "accept")
        )
        return {
            "reconstruction error": f"{error.mean(recent):.4f}, mean square on [-1, 1] ({said})",
            "acceptance of the latents' chains": f"{accept.mean(recent):.2f} ({said})",
        }

    def samples(self, context: RunContext, count: int) -> np.ndarray:
        """Decode `count` draws from the prior."""
        return to_uint8(context.learner.sample(count, make_rng("report", self.seed)))

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield images from the prior, two views of the latent plane, and the metrics."""
        from tigon import figures

        yield figures.Figure(
            "figure-2-prior",
            "Images from the model",
            f"{self.drawn} for {SAMPLES} draws z from the prior, {self.prior}, not selected.",
            figures.image_grid(self.samples(context, SAMPLES)),
            f"Grid of {SAMPLES} images that the model draws, 8 in a row.",
        )
        plane = latent_plane(context.learner.latents())
        yield _grid(context.learner, plane)
        yield from self.curves(context, "reconstruction_error")
        yield _places(context, plane)
        yield from self.curves(context, "accept", "step_size", "latent_std", "latent_mean")

    def judge(self, records: list[Record]) -> list["Finding"]:
        """Judge how much reconstructions vary, and the acceptance of chains that reject."""
        from tigon.diagnostics.rules.course import SLOWER, of_acceptance, of_spread

        remedy = f"images hardly depend on latents: {SLOWER}, or use another --seed"
        found = of_spread("reconstructions", remedy, records)
        adapts = self.chains.kernel != "langevin"
        return found + (of_acceptance(records, adapts) if adapts else [])

    def examine(
        self,
        learner: GeneratorLearner,
        images: ImageSet,
        records: list[Record],
        length: int,
        seed: int,
    ) -> "Examination":
        """Run chains on the latents of training images and judge them."""
        from tigon.diagnostics.examine import examine_latents

        return examine_latents(learner, images, seed, learner.noise is not None)

    def histograms(self, learner: GeneratorLearner) -> dict[str, Tensor]:
        """Return inferred latents, all coordinates and the first few."""
        points = learner.latents()
        each = {
            f"latents/z{k + 1}": points[:, k]
            for k in range(min(points.shape[1], HISTOGRAM_COORDINATES))
        }
        return {"latents/all": points, **each}


def _latents(images: ImageData, seed: int) -> Choice:
    """Choose the number of latents by how many directions images differ in."""
    most = max(FEWEST, min(MOST, distinct(images) // IMAGES))
    why = f"one for {IMAGES} images, at least {FEWEST} and at most {MOST}"
    if most > FEWEST:
        with suppress(ValueError):
            needed = LinearStart(images, most, seed).needed(EXPLAINED)
            if needed is not None and needed < most:
                found = f"principal components that explain {100 * EXPLAINED:g} % of the variance"
                return Choice(max(FEWEST, needed), found)
    return Choice(most, why)


def _grid(learner: GeneratorLearner, plane: Plane) -> "Figure":
    from tigon import figures

    ticks = torch.linspace(-2, 2, 8, device=learner.like.device)
    images = to_uint8(learner.decode(plane.grid(ticks)))
    return figures.Figure(
        "figure-3-latent-grid",
        "The latent plane",
        f"f(z) on an 8 x 8 grid over [-2, 2] x [-2, 2] of {plane.span}.",
        figures.latent_grid(images, ticks.cpu().double().numpy(), plane.names),
        "Grid of 8 times 8 images that change from left to right with the first coordinate and "
        "from bottom to top with the second.",
    )


def _places(context: RunContext, plane: Plane) -> "Figure":
    from tigon import figures

    points = plane.coordinates(context.learner.latents()).cpu().double().numpy()
    pictured = context.learner.some_rows()[:THUMBNAILS].cpu().numpy()
    inside = int((np.square(points).sum(1) < 9).sum())
    return figures.Figure(
        "latents",
        "Where the training images are",
        "Each training image at its inferred latent, with the circles that contain 39, 86 and "
        "99 % of N(0, I). If inferred latents do not fill the prior, images from the model are "
        "bad even if reconstructions are good.",
        figures.latent_plane(points, context.images.pixels[pictured], plane.names),
        f"Scatter plot of {len(points)} training images over two latent coordinates; {inside} lie "
        "within the circle that contains 99 % of N(0, I).",
    )


@dataclass(frozen=True)
class OriginalGeneratorRecipe(GeneratorRecipe):
    """The original generator algorithm, FOR COMPARISON ONLY: it averages the likelihood over the
    batch and lets chains share batch statistics, so its latents do not follow their posterior.

    Arguments:
        latent_dim: d, the number of latents
        sigma: standard deviation of the noise around f(z), on the scale of [-1, 1]; `learn` works
            only with --no-average-likelihood
        sigma_floor: smallest value of a learned sigma
        annealing: annealing of sigma; by default there is none
        start: where latent chains start, as in generator; in the original, at draws of the prior
        components: normal densities in the prior; in the original 1, N(0, I)
        expand: move all inferred latents towards the prior's moments, each time a tenth has moved
        average_likelihood: weight the likelihood by 1/n, and share batch statistics
        network: a fully connected layer and transposed convolutions
        chains: inference of latents
    """

    name: ClassVar = "generator-original"
    demo: ClassVar = False
    about: ClassVar = "the original generator algorithm, for comparison only"
    remark: ClassVar = ORIGINAL

    latent_dim: int | None = 2
    iterations: int | None = 600
    batch_size: int = 64
    annealing: Annealing = Annealing(0.3, 0.0)
    mirror: Literal["auto", "yes", "no"] = "no"
    start: Literal["linear", "prior"] = "prior"
    components: int | None = 1
    expand: bool = False
    average_likelihood: bool = True
    network: GeneratorNetwork = GeneratorNetwork(kernel_size=5, norm="batch")
    chains: LatentChains = LatentChains(steps=30, step_size=0.3, kernel="langevin")
    optimizer: AdamSettings = AdamSettings(1e-3, (0.5, 0.999), "constant")
    guard: Guard = Guard(enabled=False)

    def describe(self) -> str:
        """Say what the model is, and what the original algorithm does differently."""
        return (
            f"{super().describe()} This is the original algorithm, for comparison only: it "
            "averages the likelihood over the batch, and its chains share batch statistics."
        )
