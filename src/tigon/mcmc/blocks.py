"""Several steps of a chain as one compiled function, or as one CUDA graph.

On small networks, the overhead of individual operations dominates, even if each gradient
evaluation is compiled. Chains on a `Compiled` or `Graphed` log-density therefore take blocks of
steps, whose noise is drawn beforehand in the order in which the steps would have drawn it: a run
is the same up to rounding.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tigon.densities.compiled import Compiled
from tigon.densities.graphed import Graphed
from tigon.densities.log_density import LogDensity
from tigon.mcmc.adaptation import Adaptation
from tigon.mcmc.kernel import Kernel, State
from tigon.random.streams import Rng, RowRng, normal, normals

Noise = Sequence[tuple[Tensor, ...]]


class BlockResult(NamedTuple):
    """The result of a block of steps.

    Attributes:
        state: the state at its end
        accepted: sum of the acceptance probabilities over its steps, (B,) or ()
        points, log_densities: those after each of its steps, if requested
    """

    state: State
    accepted: Tensor
    points: list[Tensor]
    log_densities: list[Tensor]


class Block:
    """A number of steps of a kernel on a compiled or captured log-density.

    Arguments:
        kernel: lists what it draws in each step, in `noise`
        steps: number of steps, >= 1
        keep: return the points after each step
    """

    def __init__(
        self,
        log_density: Compiled | Graphed,
        kernel: Kernel,
        adaptation: Adaptation | None,
        steps: int,
        keep: bool,
    ) -> None:
        self.log_density, self.kernel, self.adaptation = log_density, kernel, adaptation
        self.steps, self.keep = steps, keep

    def __call__(self, state: State, rng: Rng) -> BlockResult:
        """Take the steps."""
        draws: Any = self.kernel.noise  # type: ignore[attr-defined]
        if draws == (normal,):  # on a GPU, all at once
            noise = [(drawn,) for drawn in normals(rng, state.x, self.steps)]
        else:
            noise = [tuple(draw(rng, state.x) for draw in draws) for _ in range(self.steps)]
        key = self.kernel, self.adaptation, self.steps, self.keep
        return self.log_density.apply(key, self._build, state, noise)

    def goes_on_from(self, state: State) -> bool:
        """Whether the steps draw exactly what `noise` lists: a first momentum is drawn before."""
        carries = getattr(self.kernel, "carries_momentum", False)
        return state.momentum is not None or not carries

    def _build(self, log_density: LogDensity) -> Callable[[State, Noise], BlockResult]:
        kernel, adaptation, keep = self.kernel, self.adaptation, self.keep

        def steps(state: State, noise: Noise) -> BlockResult:
            accepted = torch.zeros_like(state.log_density)
            points, log_densities = [], []
            for drawn in noise:
                state, info = kernel.step(log_density, state, _Given(drawn))
                if adaptation is not None:
                    state = adaptation.update(state, info)
                accepted = accepted + info.accept_prob
                if keep:
                    points.append(state.x)
                    log_densities.append(state.log_density)
            return BlockResult(state, accepted, points, log_densities)

        return steps


def block_of(
    log_density: LogDensity,
    kernel: Kernel,
    adaptation: Adaptation | None,
    keep: bool,
    longest: int,
) -> Block | None:
    """Return the block of steps that chains can take at once; None if it has only one step.

    Arguments:
        longest: number of steps in a row that are alike; few are left after whole blocks
    """
    if not isinstance(log_density, Compiled | Graphed) or not hasattr(kernel, "noise"):
        return None
    most = max(1, log_density.longest // kernel.gradient_evaluations)
    steps = longest // math.ceil(longest / most) if longest else 0  # of about equal blocks
    return Block(log_density, kernel, adaptation, steps, keep) if steps > 1 else None


class _Given(RowRng):
    """Noise that was drawn beforehand, returned in order."""

    def __init__(self, noise: Sequence[Tensor]) -> None:
        self.noise, self.used = noise, 0

    def normal(self, like: Tensor) -> Tensor:
        """Return the next draw."""
        self.used += 1
        return self.noise[self.used - 1]

    uniform = normal
