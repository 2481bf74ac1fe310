"""Run chains: the only loop over MCMC steps in the package."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.densities import LogDensity
from tigon.mcmc.adaptation import Adaptation
from tigon.mcmc.kernel import Kernel
from tigon.streams import Rng


class Draws(NamedTuple):
    """Where the chains ended, and how.

    x (B, *), log_density (B,) and step_size (B,) are the last state's; accept_prob (B,) is the
    mean over steps; trajectory (steps, B, *) has every state where it was asked for.
    """

    x: Tensor
    log_density: Tensor
    step_size: Tensor
    accept_prob: Tensor
    trajectory: Tensor | None = None


@dataclass(frozen=True)
class MCMC:
    """A kernel repeated.

    Arguments:
        kernel: what moves the points
        steps: how often, >= 1
        adaptation: what changes the step sizes after each step, if anything
        final: the kernel of the last step, where it is another
    """

    kernel: Kernel
    steps: int
    adaptation: Adaptation | None = None
    final: Kernel | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"chains take at least one step, not {self.steps}")

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations of one run: the first point's, and one a step."""
        return 1 + self.steps

    def run(
        self,
        log_density: LogDensity,
        x: Tensor,
        rng: Rng,
        step_size: Tensor | None = None,
        keep: bool = False,
    ) -> Draws:
        """Move chains from x (B, *) towards the log-density.

        Arguments:
            step_size: each chain's own, (B,); the kernel's where it is None
            keep: whether to return the whole trajectory
        """
        state = self.kernel.init(log_density, x, step_size)
        accepted = torch.zeros_like(state.log_density)
        kept = []
        for number in range(self.steps):
            last = number == self.steps - 1
            kernel = self.final if last and self.final is not None else self.kernel
            state, info = kernel.step(log_density, state, rng)
            if self.adaptation is not None:
                state = self.adaptation.update(state, info)
            accepted = accepted + info.accept_prob
            if keep:
                kept.append(state.x)
        return Draws(
            state.x,
            state.log_density,
            state.step_size,
            accepted / self.steps,
            torch.stack(kept) if keep else None,
        )
