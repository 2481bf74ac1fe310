"""What runs of descriptors show: synthesised images, the gap, saturation."""

from collections.abc import Iterator
from statistics import median

from tigon import figures
from tigon.data.pixels import to_uint8
from tigon.diagnostics.rules import GAP_RECENT, sampled
from tigon.diagnostics.rules import SATURATION as MOST_SATURATED
from tigon.families.base import ORIGINAL, RECENT, Family, Measure, Picture, Shown, Stages
from tigon.figures import Pixels
from tigon.learners.descriptor import DescriptorLearner
from tigon.random.streams import RowRng
from tigon.recipes import DescriptorRecipe, OriginalDescriptorRecipe

COUNT = 64
BAND = {"agreement": 0.0, "band": GAP_RECENT, "_": -GAP_RECENT}

GAP = Measure(
    "figure-6-gap",
    "Gap",
    "gap, nats per dimension of f",
    "Mean f(synthesised) - mean f(observed) in nats per dimension, the original code's loss over "
    "the number of dimensions. Divided by the temperature T, it is in nats per dimension of "
    "p^(1/T), the density at which the chains aim. A healthy gap swings about 0 and stays within "
    "the dashed band. One gradient evaluation is one forward and backward pass of the network "
    "over the whole set.",
    lambda record: record["gap"],
    "signed",
    BAND,
)
SATURATION = Measure(
    "saturation",
    "Saturation",
    "saturation, per cent",
    "Values of synthesised images outside [-1, 1] by more than 0.1, in per cent: 0 is best, and "
    f"below {100 * MOST_SATURATED:g} is healthy.",
    lambda record: 100 * record["saturation"],
)
DISTANCE = Measure(
    "energy-distance",
    "Energy distance",
    "energy distance",
    "Between synthesised and training images, as distributions, on the scale of [-1, 1]: 0 is "
    "best, where both are the same set. Its fluctuations grow with the learning rate.",
    lambda record: record["energy_distance"],
)


class DescriptorFamily(Family[DescriptorRecipe, DescriptorLearner]):
    """Descriptors, whose images chains synthesise."""

    recipe = DescriptorRecipe
    noun = "descriptor"
    measures = (GAP, SATURATION)
    stages = Stages(
        "figure-5-synthesised",
        "Synthesised images as the model learns",
        "The first training images, and below them what the chain from each one's start image "
        "synthesises after some iterations. Values outside [-1, 1] are clipped for display.",
    )

    def what(self, recipe: DescriptorRecipe) -> str:
        """Say what the model is, and that it is a sampler."""
        original = isinstance(recipe, OriginalDescriptorRecipe)
        seed = f"{ORIGINAL} lets its chains share batch statistics." if original else ""
        chains = recipe.chains
        return (
            f"A descriptor, learned with chains of {chains.steps} Langevin steps at temperature "
            f"{chains.temperature:g} that start from mean images. {_aim(recipe)}: this is a "
            "sampler, not a density, learned by contrast with its images, and its log-density "
            f"says nothing of how probable an image is.{seed}"
        )

    def results(self, shown: Shown[DescriptorRecipe, DescriptorLearner]) -> dict[str, str]:
        """Return temperature, gap and saturation."""
        gaps = [abs(record["gap"]) for record in shown.records]
        recent, temperature = gaps[-RECENT:], shown.recipe.chains.temperature
        in_sampled = sampled([median(recent)], temperature)
        return {
            "temperature": f"{temperature:g}",
            "|gap|": f"{median(recent):.3f} nats per dimension of f, {in_sampled} "
            f"(0 is best, healthy: below {GAP_RECENT:g} of f; median of the last {len(recent)} "
            f"logged, at most {max(gaps):.3f})",
            "saturation": f"{100 * shown.records[-1]['saturation']:.2f} % outside [-1, 1] by more "
            f"than 0.1 (0 is best, healthy: below {100 * MOST_SATURATED:g} %)",
        }

    def samples(self, shown: Shown[DescriptorRecipe, DescriptorLearner], count: int) -> Pixels:
        """Run one chain per start image, in order, and around again beyond the last."""
        rng = RowRng(shown.recipe.seed, 0, range(count), "report")
        return to_uint8(shown.learner.sample(count, rng))

    def pictures(self, shown: Shown[DescriptorRecipe, DescriptorLearner]) -> Iterator[Picture]:
        """Yield the gap, the sampler's images, saturation, and the energy distance."""
        yield GAP.picture({"": shown.records})
        count = min(COUNT, len(shown.images))
        yield Picture(
            "samples",
            "Images of the sampler",
            "One chain from each start image, in order, none left out.",
            figures.image_grid(self.samples(shown, count), columns=min(count, 8)),
            f"Grid of {count} images that chains synthesise, {min(count, 8)} in a row.",
        )
        yield SATURATION.picture({"": shown.records})
        told = [record for record in shown.records if "energy_distance" in record]
        if told:  # older runs, and batches of one image, have none
            yield DISTANCE.picture({"": told})


def _aim(recipe: DescriptorRecipe) -> str:
    """Say which density the chains aim at, and that they do not reach it."""
    temperature, scale = recipe.chains.temperature, recipe.scale
    if not temperature:
        return "At T = 0 they climb without noise, and aim at no density"
    if temperature == 1:
        return "Chains this short do not reach the model's density p"
    return (
        f"At temperature T they aim at p^(1/T), here p^{1 / temperature:.4g}, whose reference "
        f"density is {scale * temperature**0.5:.3g} wide, not {scale:.3g} as p's; this short, "
        "they do not reach it"
    )
