"""Watch one of a descriptor's chains, with numbers that can be changed while it runs."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from tigon.errors import TigonError
from tigon.explorer.models import Model, shrink
from tigon.explorer.requests import Settings, Synthesise
from tigon.learners.descriptor import DescriptorLearner
from tigon.mcmc.adaptation import StepSizeDecay
from tigon.mcmc.chain import MCMC
from tigon.mcmc.kernel import State, per_row
from tigon.mcmc.langevin import Langevin, drifted, return_ratio
from tigon.random.streams import RowRng


class Synthesis:
    """One chain of the sampler: the same as the learner's own as long as no number is changed.

    Arguments:
        model: of a descriptor
        asked: where the chain starts, its seed and its numbers

    Attributes:
        done: steps taken
        state: where the chain is, one row
        accept: what an adjusted chain would have accepted the last step with; None where it had
            no noise
    """

    def __init__(self, model: Model, asked: Synthesise) -> None:
        assert isinstance(model.learner, DescriptorLearner)
        self.learner, self.settings = model.learner, asked.settings
        self.done = 0
        self.accept: float | None = None
        self.rng = RowRng(asked.seed, 0, [asked.image], "explore")
        start = self._start(model, asked)
        sizes = start.new_full((1,), asked.settings.step_size)
        self.state = self._kernel().init(self.learner.model, start, sizes)

    @property
    def arrived(self) -> bool:
        """Whether all steps are taken."""
        return self.done >= self.settings.steps

    @property
    def log_density(self) -> float:
        """f(x) + log p0(x) where the chain is, up to a constant, in nats."""
        return self.state.log_density.item()

    def change(self, settings: Settings) -> None:
        """Go on with other numbers from the next step."""
        self.settings = settings
        last = max(1, settings.steps - 1)
        size = settings.step_size * shrink(self.learner) ** (min(self.done, last) / last)
        self.state = self.state._replace(step_size=torch.full_like(self.state.step_size, size))

    def step(self) -> None:
        """Take one step.

        Raises:
            TigonError: if the chain leaves what numbers can hold
        """
        kernel, before = self._kernel(), self.state
        factor = shrink(self.learner) ** (1 / max(1, self.settings.steps - 1))
        chain = MCMC(kernel, 1, StepSizeDecay(factor) if factor != 1 else None)
        self.state = chain.run(self.learner.model, before, self.rng).state
        self.done += 1
        self.accept = would_accept(before, self.state, kernel.temperature)
        if not math.isfinite(self.log_density):
            raise TigonError("the chain ran away: lower its step size, or its temperature")

    def _kernel(self) -> Langevin:
        kernel = Langevin(self.settings.step_size, self.settings.temperature)
        last = self.done == self.settings.steps - 1
        quiet = last and self.learner.chains.final is not None
        return replace(kernel, temperature=0.0) if quiet else kernel

    def _start(self, model: Model, asked: Synthesise) -> Tensor:
        index = torch.tensor([asked.image], device=model.device)
        start = self.learner.start(index)
        if asked.start == "noise":
            return self.learner.model.reference.sample(start, self.rng)
        return model.mean_image if asked.start == "mean" else start


def would_accept(old: State, new: State, temperature: float) -> float | None:
    """Return the probability with which MALA would have accepted a Langevin step, of one row.

    Unadjusted Langevin dynamics takes every step. None at temperature 0, where a step has no
    noise and so no probability.
    """
    if not temperature:
        return None
    drawn = (new.x - drifted(old)) / per_row(old.step_size, old.x)
    log_ratio = new.log_density - old.log_density + return_ratio(old, new, drawn)
    log_ratio = log_ratio / temperature
    value = log_ratio.clamp(max=0).exp().item()
    return value if math.isfinite(value) else 0.0
