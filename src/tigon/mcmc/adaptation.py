r"""Step sizes that change from step to step, carried in the state, one for each chain.

While a model learns, the posterior of each example moves and narrows, so step sizes must follow
it: a constant gain tracks. Draws that estimate something want it frozen (`gain=0`), since adapting
for ever breaks stationarity.

.. math:: \log s \leftarrow \log s + \gamma\,(a - a^*)

References:
    Andrieu and Thoms, "A tutorial on adaptive MCMC", Statistics and Computing 2008, algorithm 4.
    Roberts and Rosenthal (1998): MALA mixes best where a* = 0.574.
"""

from dataclasses import dataclass
from typing import Protocol

from tigon.mcmc.kernel import Info, State


class Adaptation(Protocol):
    """Anything that gives chains new step sizes after each step."""

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes."""


@dataclass(frozen=True)
class StepSizeDecay:
    """Multiply all step sizes by the same factor after each step: large moves, then fine ones.

    Arguments:
        factor: in (0, 1]
    """

    factor: float

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes."""
        return state._replace(step_size=state.step_size * self.factor)


@dataclass(frozen=True)
class StepSizeAdaptation:
    """Move each chain's step size until its proposals are accepted at the target rate.

    Arguments:
        target: a*, the acceptance wanted, in (0, 1)
        gain: gamma >= 0, the change of log s per unit of acceptance; 0 keeps step sizes
        smallest, largest: limits of s, in units of x
    """

    target: float = 0.574
    gain: float = 0.2
    smallest: float = 1e-5
    largest: float = 10.0

    def update(self, state: State, info: Info) -> State:
        """Return the state with new step sizes."""
        factor = (self.gain * (info.accept_prob - self.target)).exp()
        sizes = (state.step_size * factor).clamp(self.smallest, self.largest)
        return state._replace(step_size=sizes)
