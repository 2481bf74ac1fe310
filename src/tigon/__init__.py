"""tigon: image models learned by maximum likelihood with Markov chains.

A model is a log-density. A kernel moves points towards it. A chain store remembers the points.
A learner alternates between running chains and taking one gradient step. A recipe is a named set
of numbers.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "TigonError": "errors",
    "DivergenceError": "errors",
    "RowRng": "random.streams",
    "make_rng": "random.streams",
    "Model": "models.base",
    "GeneratorModel": "models.generator",
    "EnergyModel": "models.energy",
    "TextureModel": "models.texture",
    "EnergyPrior": "models.energy_prior",
    "LatentTilt": "models.energy_prior",
    "GaussianMixture": "densities.mixture",
    "mirrored": "data.mirrored",
    "hold_out": "data.held_out",
    "CooperativeModel": "models.cooperative",
    "ColdStart": "models.cold_start",
    "HasLatents": "models.abilities",
    "HasLogDensity": "models.abilities",
    "HasChains": "models.abilities",
    "HasGrids": "models.abilities",
    "HasSizes": "models.abilities",
    "register_part": "models.config",
    "restore": "inference.restore",
    "Draws": "inference.restore",
    "interpolate": "inference.interpolation",
    "latent_arithmetic": "inference.interpolation",
    "latent_grid": "inference.interpolation",
    "Composed": "inference.compose",
    "score": "inference.score",
    "Detector": "inference.score",
    "log_likelihood": "inference.likelihood",
    "log_partition": "inference.likelihood",
    "simulated": "inference.likelihood",
    "bits_per_dimension": "inference.likelihood",
    "AIS": "mcmc.annealed",
    "Mask": "inference.physics",
    "Downsample": "inference.physics",
    "Blur": "inference.physics",
    "Grey": "inference.physics",
    "start_images": "learners.descriptor",
    "Gaussian": "densities.gaussian",
    "Compiled": "densities.compiled",
    "Graphed": "densities.graphed",
    "Product": "densities.compose",
    "Mixture": "densities.compose",
    "keep_freed_memory": "memory",
    "ChainStore": "mcmc.store",
    "ImageSet": "data.images",
    "load_images": "data.load",
    "load_crops": "data.crops",
    "as_data": "data.datasets",
    "Batch": "data.batches",
    "to_uint8": "data.pixels",
    "DCGANGenerator": "nn.dcgan",
    "ConvDescriptor": "nn.dcgan",
    "StationaryDescriptor": "nn.stationary",
    "MCMC": "mcmc.chain",
    "Langevin": "mcmc.langevin",
    "MALA": "mcmc.langevin",
    "warm_up": "mcmc.chain",
    "UnderdampedLangevin": "mcmc.langevin",
    "HMC": "mcmc.hmc",
    "ReplicaExchange": "mcmc.tempered",
    "Preconditioned": "mcmc.preconditioning",
    "estimate_scale": "mcmc.preconditioning",
    "StepSizeAdaptation": "mcmc.adaptation",
    "DualAveraging": "mcmc.adaptation",
    "Learner": "learners.base",
    "GeneratorLearner": "learners.generator",
    "DescriptorLearner": "learners.descriptor",
    "LatentEBMLearner": "learners.latent_ebm",
    "CooperativeLearner": "learners.cooperative",
    "Trainer": "training.trainer",
    "Budget": "training.settings",
    "WarmUp": "training.settings",
    "Cosine": "training.settings",
    "Guard": "training.guard",
    "callbacks": "training",
    "GeneratorRecipe": "recipes",
    "DescriptorRecipe": "recipes",
    "LatentEBMRecipe": "recipes",
    "CooperativeRecipe": "recipes",
    "TextureRecipe": "recipes",
    "Run": "runs.run",
    "load": "export.load",
    "Licence": "export.card",
}

_MODULES = {"callbacks"}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name when it is first used, so that `import tigon` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tigon' has no attribute {name!r}")
    if name in _MODULES:
        return import_module(f"tigon.{_HOMES[name]}.{name}")
    return getattr(import_module(f"tigon.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
