"""The parts of a recipe: settings of networks and chains, and what they build."""

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from tigon.choices import require_choices
from tigon.learners.descriptor import Start
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import Kernel
from tigon.mcmc.langevin import MALA, Langevin
from tigon.models.energy import short_run
from tigon.nn.dcgan import Norm

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Check a setting.

    Raises:
        ValueError: with `message`, unless the condition holds
    """
    if not condition:
        raise ValueError(message)


def require_finite(made: Any, place: str = "") -> None:  # noqa: ANN401
    """Refuse numbers of a recipe, or of its parts, that are not finite.

    A limit, such as those of a guard, may be infinite.

    Raises:
        ValueError: it names the setting
    """
    for field in fields(made):
        value, name = getattr(made, field.name), place + field.name
        if is_dataclass(value) and name != "guard":
            require_finite(value, f"{name}.")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value}")


def known(value: T | None, name: str) -> T:
    """Return a number that the images decide if it is not given.

    Raises:
        ValueError: if it is None
    """
    if value is None:
        raise ValueError(f"{name} is not known without images: give it, or use resolved(images)")
    return value


def with_value(settings: T, name: str, value: Any) -> T:  # noqa: ANN401
    """Return settings with another number of this name, with dots for parts: `network.width`."""
    first, _, rest = name.partition(".")
    if rest:
        value = with_value(getattr(settings, first), rest, value)
    return replace(settings, **{first: value})  # type: ignore[type-var]


@dataclass(frozen=True)
class GeneratorNetwork:
    """The generator's network: a fully connected layer and transposed convolutions.

    Arguments:
        width: channels of the last hidden layer; they double towards the latents, up to 8 times
        kernel_size: size of the transposed convolutions, 4 or 5 (5 in the original)
        norm: normalisation after each layer; batch couples the chains
    """

    width: int = 64
    kernel_size: Literal[4, 5] = 4
    norm: Norm = "none"

    def __post_init__(self) -> None:
        require_choices(self)
        require(self.width >= 2, f"network.width must be at least 2, not {self.width}")


@dataclass(frozen=True)
class LatentChains:
    """Inference of latents, equation (2).

    Arguments:
        steps: chain steps per parameter update, >= 1
        step_size: initial step size s of all chains, in units of the prior's standard deviation
        temperature: T > 0; 1 is the posterior
        kernel: mala and hmc accept or reject, with one step size that adapts to the mean
            acceptance of all chains; langevin accepts every step, with a fixed step size
        leapfrog_steps: leapfrog steps per step of hmc, >= 1; each is a gradient evaluation
        jitter: for mala and hmc, a chain's step size is drawn at each step between (1 - jitter)
            and (1 + jitter) times the common one, in [0, 1)
        target_accept: acceptance rate to which the step size is adapted, in (0, 1); 0.574 suits
            mala, 0.65 hmc
        gain: initial change of log s per unit of acceptance, >= 0; it decays over the iterations
        store: keep latents in memory, or in a file for millions of images (in one process)
    """

    steps: int = 1
    step_size: float = 0.1
    temperature: float = 1.0
    kernel: Literal["mala", "hmc", "langevin"] = "mala"
    leapfrog_steps: int = 4
    jitter: float = 0.9
    target_accept: float = 0.574
    gain: float = 0.5
    store: Literal["memory", "files"] = "memory"

    def __post_init__(self) -> None:
        require_choices(self)
        require(self.steps >= 1, f"chains.steps must be at least 1, not {self.steps}")
        require(self.step_size > 0, f"chains.step_size must be above 0, not {self.step_size}")
        require(
            self.temperature > 0, f"chains.temperature must be above 0, not {self.temperature}"
        )
        require(0 < self.target_accept < 1, "chains.target_accept must be between 0 and 1")
        require(self.gain >= 0, f"chains.gain must be at least 0, not {self.gain}")
        require(0 <= self.jitter < 1, f"chains.jitter must be in [0, 1), not {self.jitter}")
        require(self.leapfrog_steps >= 1, "chains.leapfrog_steps must be at least 1")

    def build(self) -> MCMC:
        """Return the chains that these numbers describe."""
        size, temperature = self.step_size, self.temperature
        kernels: dict[str, Kernel] = {
            "mala": MALA(size, temperature, self.jitter),
            "hmc": HMC(size, self.leapfrog_steps, self.jitter, temperature),
            "langevin": Langevin(size, temperature),
        }
        adaptation = StepSizeAdaptation(self.target_accept, self.gain)
        adapts = self.kernel != "langevin"
        return MCMC(kernels[self.kernel], self.steps, adaptation if adapts else None)


@dataclass(frozen=True)
class DescriptorNetwork:
    """The descriptor's network: two convolutions and a fully connected layer.

    Arguments:
        width: channels of the first convolution; the second has twice as many. Of fewer than 50
            images 32 if not given, which learns them as well in a third of the time, else 64
        norm: normalisation after each convolution; batch couples the chains
    """

    width: int | None = None
    norm: Norm = "none"

    def __post_init__(self) -> None:
        require_choices(self)
        require(
            self.width is None or self.width >= 2,
            f"network.width must be at least 2, not {self.width}",
        )


@dataclass(frozen=True)
class ShortChains:
    """Short Langevin chains of images, equation (5).

    Arguments:
        steps: chain steps from a start image to a synthesised one, >= 1
        step_size: size s of the first step, in units of [-1, 1]: the drift is s^2/2 times the
            gradient
        shrink: ratio of the last step size to the first, in (0, 1]; it falls geometrically
        temperature: T >= 0: the noise is s sqrt(T), and chains target p^(1/T); 1 is the density p
            itself, 0 is gradient ascent
        noiseless_last_step: leave the noise out of the last step; nothing else removes noise
    """

    steps: int = 30
    step_size: float = 0.12
    shrink: float = 0.33
    temperature: float = 0.001
    noiseless_last_step: bool = True

    def __post_init__(self) -> None:
        require_choices(self)
        require(self.steps >= 1, f"chains.steps must be at least 1, not {self.steps}")
        require(self.step_size > 0, f"chains.step_size must be above 0, not {self.step_size}")
        require(0 < self.shrink <= 1, f"chains.shrink must be in (0, 1], not {self.shrink}")
        require(
            self.temperature >= 0, f"chains.temperature must be at least 0, not {self.temperature}"
        )

    def build(self) -> MCMC:
        """Return the chains that these numbers describe."""
        return short_run(
            self.steps,
            self.step_size,
            self.temperature,
            self.shrink,
            self.noiseless_last_step,
        )


@dataclass(frozen=True)
class ImageChains(ShortChains):
    """Synthesis of images, equation (5).

    Arguments:
        steps: chain steps from a start image to a synthesised one, >= 1
        step_size: size s of the first step, in units of [-1, 1]: the drift is s^2/2 times the
            gradient
        shrink: ratio of the last step size to the first, in (0, 1]; it falls geometrically
        temperature: T >= 0: the noise is s sqrt(T), and chains target p^(1/T); 1 is the density p
            itself, 0 is gradient ascent
        noiseless_last_step: leave the noise out of the last step; nothing else removes noise
        start: the mean colour of each training image, or the mean of all training images
    """

    start: Start = "mean-colour"
