r"""Step sizes that change from step to step.

If a chain's step size depends on where the chain has just been, the kernel does not leave the
target invariant: starting from exact draws of a mixture of a narrow and a wide normal, a constant
gain for each chain separately reduces the variance by a quarter. So `StepSizeAdaptation` follows
the mean acceptance of many chains, on which each has little influence, and its gain decays with
the number k of steps,

.. math:: \log s \leftarrow \log s + \gamma\,(1 + k / \tau)^{-\kappa}\,(\bar a - a^*)

while `DualAveraging` finds a step size for each chain separately, which must be frozen before
draws are used for estimates.

References:
    Andrieu and Thoms, "A tutorial on adaptive MCMC", Statistics and Computing 2008, algorithm 4.
    Hoffman and Gelman, "The No-U-Turn Sampler", JMLR 2014, section 3.2.1.
    Roberts and Rosenthal (1998): MALA mixes best at a* = 0.574; Beskos et al. (2013): HMC at
    a* = 0.651.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from tigon.mcmc.kernel import Info, State, require_positive

ADAPTATION_SIZE = 4  # numbers in an adaptation's state for each chain, at most


@runtime_checkable
class Adaptation(Protocol):
    """Anything that gives chains new step sizes after each step.

    If it adapts to an acceptance rate, that is its `target`; kernels that accept every proposal
    refuse it.
    """

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes."""


@dataclass(frozen=True)
class StepSizeDecay:
    """Multiply all step sizes by the same factor after each step: large moves, then fine ones.

    Arguments:
        factor: in (0, 1]
    """

    factor: float

    @classmethod
    def to(cls, shrink: float, steps: int) -> "StepSizeDecay":
        """Return the decay that makes the last of `steps` `shrink` times as long as the first."""
        return cls(shrink ** (1 / max(1, steps - 1)))

    def shrink(self, steps: int) -> float:
        """Return the ratio of the last step size to the first, over `steps` steps."""
        return self.factor ** max(1, steps - 1)

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes."""
        return state.replaced(step_size=state.step_size * self.factor)


@dataclass(frozen=True)
class StepSizeAdaptation:
    """Adapt step sizes until proposals are accepted at the target rate, on average over chains.

    Chains in a pool are adapted by their mean acceptance, which keeps the ratios of their step
    sizes. The influence of one among B chains on its own step size is gain / B, and decays: with
    B = 10, the variance of half N(0, .1^2), half N(0, 1) is 1.5 % too small over 640 steps, with
    16 it is .7 % too small; with one chain it stays biased until the gain has become small. A
    chain's `adaptation_state` begins with k.

    Arguments:
        target: a*, the target acceptance rate, in (0, 1)
        gain: gamma >= 0, the initial change of log s per unit of acceptance; 0 keeps step sizes
        delay: tau > 0, number of steps after which the gain begins to decay
        decay: kappa in (0.5, 1], how fast it decays; with 1, log s can still change by
            gain * delay per unit of acceptance while k grows e-fold, which is enough to follow a
            model during training
        pool: number of consecutive rows that form a pool; 0 for all rows
        smallest, largest: limits of s, in units of x
    """

    target: float = 0.574
    gain: float = 0.5
    delay: float = 20.0
    decay: float = 1.0
    pool: int = 0
    smallest: float = 1e-5
    largest: float = 10.0

    def __post_init__(self) -> None:
        require_positive(delay=self.delay, smallest=self.smallest)
        if not 0 < self.target < 1:
            raise ValueError(f"target must be in (0, 1), not {self.target}")
        if not 0.5 < self.decay <= 1:
            raise ValueError(f"decay must be in (0.5, 1], not {self.decay}")

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes and adaptation_state."""
        accepted = info.accept_prob.view(-1, self.pool or len(info.accept_prob))
        mean = accepted.mean(1, keepdim=True).expand_as(accepted).reshape(-1)
        adaptation_state = adaptation_state_of(state)
        gain = self._gain(adaptation_state[:, 0])
        sizes = state.step_size * (gain * (mean - self.target)).exp()
        adaptation_state = torch.cat([adaptation_state[:, :1] + 1, adaptation_state[:, 1:]], 1)
        return state.replaced(
            step_size=sizes.clamp(self.smallest, self.largest), adaptation_state=adaptation_state
        )

    def adapted(self, step_size: float, accepted: float, count: int) -> float:
        """Return the adapted value of `step_size`.

        Arguments:
            accepted: mean acceptance with `step_size`, in [0, 1]
            count: number of previous adaptations, k
        """
        size = step_size * math.exp(self._gain(count) * (accepted - self.target))
        return min(max(size, self.smallest), self.largest)

    def _gain(self, count: Any) -> Any:  # noqa: ANN401
        return self.gain * (1 + count / self.delay) ** -self.decay


@dataclass(frozen=True)
class DualAveraging:
    r"""Nesterov's dual averaging of log s, for each chain separately.

    With H the shortfall of acceptance averaged over m steps, and mu = log(10 s) of the first step,

    .. math::
        \bar H &\leftarrow (1 - \tfrac1{m + t_0}) \bar H + \tfrac1{m + t_0} (a^* - a), \qquad
        \log s \leftarrow \mu - \tfrac{\sqrt m}{\gamma} \bar H, \\
        \log \bar s &\leftarrow m^{-\kappa} \log s + (1 - m^{-\kappa}) \log \bar s

    A chain's `adaptation_state` is (m, mean shortfall, log of the ratio of the average to s,
    mu - log s). It contains no lengths, so it stays valid when coordinates and step sizes are
    rescaled. Limits bound the s that is used and averaged, not mu. HMC's acceptance at the frozen
    average is a few per cent above the target, since it is not linear in log s.

    Arguments:
        target: a*, the target acceptance rate, in (0, 1)
        gamma: shrinkage towards mu, > 0. Hoffman and Gelman's 0.05 suits an acceptance averaged
            over a trajectory. With the acceptance of a single proposal, step sizes would fluctuate
            so much that the average is accepted 0.05 to 0.1 too often after 400 steps; with 0.2,
            0.02 to 0.03 too often
        delay: t0 >= 0, damps the first steps
        decay: kappa in (0.5, 1], how fast the average forgets them
        smallest, largest: limits of s, in units of x
    """

    target: float = 0.574
    gamma: float = 0.2
    delay: float = 10.0
    decay: float = 0.75
    smallest: float = 1e-6
    largest: float = 1e3

    def __post_init__(self) -> None:
        require_positive(gamma=self.gamma, smallest=self.smallest)
        if not 0 < self.target < 1:
            raise ValueError(f"target must be in (0, 1), not {self.target}")
        if not 0.5 < self.decay <= 1:
            raise ValueError(f"decay must be in (0.5, 1], not {self.decay}")

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes and adaptation_state."""
        log_size = state.step_size.log()
        steps, shortfall, average, centre = adaptation_state_of(state).unbind(1)
        centre = log_size + torch.where(steps > 0, centre, math.log(10))
        average = log_size + average
        steps = steps + 1
        weight = 1 / (steps + self.delay)
        shortfall = (1 - weight) * shortfall + weight * (self.target - info.accept_prob)
        log_size = centre - steps.sqrt() / self.gamma * shortfall
        log_size = log_size.clamp(math.log(self.smallest), math.log(self.largest))
        weight = steps**-self.decay
        average = weight * log_size + (1 - weight) * average
        remembered = torch.stack([steps, shortfall, average - log_size, centre - log_size], 1)
        return state.replaced(step_size=log_size.exp(), adaptation_state=remembered)


def adaptation_state_of(state: State) -> Tensor:
    """Return the adaptation's state for each chain, (B, ADAPTATION_SIZE); zeros if none."""
    if state.adaptation_state is not None:
        return state.adaptation_state
    return state.step_size.new_zeros(len(state.step_size), ADAPTATION_SIZE)


def averaged_step_size(step_size: Tensor, adaptation_state: Tensor | None) -> Tensor:
    """Return the step sizes to freeze, (B,): the averages if `DualAveraging` has computed them."""
    return step_size if adaptation_state is None else step_size * adaptation_state[:, 2].exp()
