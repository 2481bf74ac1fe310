"""The parts of a recipe: numbers of networks and of chains, and what they build."""

from dataclasses import dataclass
from typing import Literal

from tigon.learners.descriptor import Start, short_run
from tigon.mcmc.adaptation import Adaptation, DualAveraging, StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import Kernel
from tigon.mcmc.langevin import MALA, Langevin
from tigon.networks.dcgan import Norm


def require(condition: bool, message: str) -> None:
    """Refuse a number that makes no sense.

    Raises:
        ValueError: with `message`, unless the condition holds
    """
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class GeneratorNetwork:
    """The generator's network: a fully connected layer and transposed convolutions.

    Arguments:
        width: channels of the last hidden layer; they double towards the latents, up to 8 times
        kernel_size: of the transposed convolutions, 4 or 5 (the original's)
        norm: normalisation after each layer; batch couples the chains
    """

    width: int = 64
    kernel_size: Literal[4, 5] = 4
    norm: Norm = "none"

    def __post_init__(self) -> None:
        require(self.width >= 2, f"network.width is at least 2, not {self.width}")


@dataclass(frozen=True)
class LatentChains:
    """Inference of latents, equation (2).

    Arguments:
        steps: chain steps per parameter update, >= 1
        step_size: step size s of every chain at first, in the prior's standard deviations
        temperature: T > 0; 1 is the posterior
        kernel: mala and hmc accept or reject, with step sizes of their own for each chain;
            langevin takes every step, of the size given
        leapfrog_steps: of one step of hmc, >= 1: as many gradient evaluations
        adaptation: of mala's and hmc's step sizes: track with a constant gain, for posteriors that
            move as the model learns, or settle by dual averaging
        target_accept: the acceptance that step sizes are adapted to, in (0, 1); 0.574 suits mala,
            0.65 hmc
        gain: change of log s per unit of acceptance with `track`, >= 0
        store: keep latents in memory, or in files for millions of images (in one process)
    """

    steps: int = 1
    step_size: float = 0.1
    temperature: float = 1.0
    kernel: Literal["mala", "hmc", "langevin"] = "mala"
    leapfrog_steps: int = 4
    adaptation: Literal["track", "settle"] = "track"
    target_accept: float = 0.574
    gain: float = 0.2
    store: Literal["memory", "files"] = "memory"

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"chains.steps is at least 1, not {self.steps}")
        require(self.step_size > 0, f"chains.step_size is above 0, not {self.step_size}")
        require(self.temperature > 0, f"chains.temperature is above 0, not {self.temperature}")
        require(0 < self.target_accept < 1, "chains.target_accept is between 0 and 1")
        require(self.gain >= 0, f"chains.gain is at least 0, not {self.gain}")
        require(self.leapfrog_steps >= 1, "chains.leapfrog_steps is at least 1")

    def build(self) -> MCMC:
        """Return the chains that these numbers describe."""
        kernels: dict[str, Kernel] = {
            "mala": MALA(self.step_size, self.temperature),
            "hmc": HMC(self.step_size, self.leapfrog_steps, temperature=self.temperature),
            "langevin": Langevin(self.step_size, self.temperature),
        }
        return MCMC(kernels[self.kernel], self.steps, self._adaptation())

    def _adaptation(self) -> Adaptation | None:
        if self.kernel == "langevin":
            return None
        if self.adaptation == "settle":
            return DualAveraging(self.target_accept)
        return StepSizeAdaptation(self.target_accept, self.gain)


@dataclass(frozen=True)
class DescriptorNetwork:
    """The descriptor's network: two convolutions and a fully connected layer.

    Arguments:
        width: channels of the first convolution; the second has twice as many
        norm: normalisation after each convolution; batch couples the chains
    """

    width: int = 64
    norm: Norm = "none"

    def __post_init__(self) -> None:
        require(self.width >= 2, f"network.width is at least 2, not {self.width}")


@dataclass(frozen=True)
class ImageChains:
    """Synthesis of images, equation (5).

    Arguments:
        steps: chain steps from a start image to a synthesised one, >= 1
        step_size: size s of the first step, in units of [-1, 1]: the drift is s^2/2 times the
            gradient
        shrink: s of the last step over that of the first, in (0, 1]; it falls geometrically
        temperature: T >= 0: the noise is s sqrt(T), and chains aim at p^(1/T); 1 is the density p
            itself, and at 0 they climb and aim at none
        noiseless_last_step: leave the noise out of the last step; nothing else removes noise
        start: each training image's mean colour, or the mean of all training images
    """

    steps: int = 30
    step_size: float = 0.12
    shrink: float = 0.33
    temperature: float = 0.001
    noiseless_last_step: bool = True
    start: Start = "mean-colour"

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"chains.steps is at least 1, not {self.steps}")
        require(self.step_size > 0, f"chains.step_size is above 0, not {self.step_size}")
        require(0 < self.shrink <= 1, f"chains.shrink is in (0, 1], not {self.shrink}")
        require(self.temperature >= 0, f"chains.temperature is at least 0, not {self.temperature}")

    def build(self) -> MCMC:
        """Return the chains that these numbers describe."""
        return short_run(
            self.steps,
            self.step_size,
            self.temperature,
            self.shrink,
            self.noiseless_last_step,
        )
