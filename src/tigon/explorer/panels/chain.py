"""Panel for models whose chains synthesise images: one chain, with settings that act at once."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from tigon.data.pixels import reduced
from tigon.errors import TigonError
from tigon.explorer.frames import pack, pictures
from tigon.explorer.panels.base import (
    Adjustment,
    Course,
    Model,
    Number,
    Panel,
    Part,
    Question,
    Request,
)
from tigon.mcmc.adaptation import StepSizeDecay
from tigon.mcmc.chain import MCMC
from tigon.mcmc.kernel import State, per_row, temperature_of
from tigon.mcmc.langevin import Langevin, drifted, return_ratio
from tigon.models.abilities import HasChains, HasGrids, grids_of
from tigon.random.streams import RowRng


@dataclass(frozen=True)
class Settings:
    """Settings of a synthesis that take effect immediately.

    Arguments:
        temperature: T >= 0
        step_size: s of the first step, > 0; on coarser grids, in proportion to theirs
        steps: number of steps of the chain, on each grid
        pace: maximum steps per second; 0 for as fast as possible
    """

    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    step_size: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    steps: Annotated[int, Field(ge=1, le=100_000)]
    pace: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


@dataclass(frozen=True)
class Synthesise(Question):
    """Start a chain from noise, from the mean image, or where a training image's chain starts."""

    type: Literal["synthesise"]
    start: Literal["noise", "mean", "image"]
    image: Number
    seed: Number
    settings: Settings


@dataclass(frozen=True)
class Change(Adjustment):
    """Change the settings of the running chain."""

    type: Literal["change"]
    settings: Settings


class ChainPanel(Panel):
    """A chain that synthesises an image, and its sliders."""

    name = "chain"
    requests = (Synthesise, Change)

    def count(self, model: Model) -> int:
        """All training images if they can be read; otherwise those with stored starts."""
        return with_chains(model).start_count if model.images is None else len(model.images)

    def part(self, model: Model) -> Part:
        """Return the settings of the chains in training, and where they can start."""
        able = with_chains(model)
        return Part(
            {
                "steps": able.chains.steps,
                "step_size": able.step_size,
                "temperature": temperature_of(able.chains.kernel),
                "shrink": able.chains.shrink,
                "grids": len(grids_of(able)),
                "shared": able.start_count == 1,
                "noise": hasattr(able, "reference"),
                "takes_every_step": isinstance(able.chains.kernel, Langevin),
            }
        )

    def answer(self, model: Model, request: Request) -> Course:
        """Return a chain from the start that the page requests.

        Raises:
            TigonError: if the model has no such chains, or there is no such start
        """
        assert isinstance(request, Synthesise)
        return Synthesis(model, request)


class Synthesis(Course):
    """One chain of the sampler, equal to the model's own as long as no setting is changed.

    Arguments:
        model: a model whose chains synthesise images
        asked: the chain's start, seed and settings

    Attributes:
        grid: number of the grid that the chain is on, the coarsest first
        done: number of steps taken on it
        taken: number of steps taken in all
        state: state of the chain, one row
        accept: probability with which an adjusted chain would have accepted the last step; None
            if it had no noise
    """

    def __init__(self, model: Model, asked: Synthesise) -> None:
        self.id, self.settings = asked.id, asked.settings
        self.grids = grids_of(with_chains(model))
        self.grid = self.done = self.taken = 0
        self._begun = False
        self.accept: float | None = None
        self.rng = RowRng(asked.seed, 0, [asked.image], "explore")
        self._enter(self._start(model, asked))

    @property
    def able(self) -> Any:  # noqa: ANN401
        """The model of the current grid."""
        return self.grids[self.grid]

    def _enter(self, start: Tensor) -> None:
        """Start on the current grid."""
        self.done = 0
        sizes = start.new_full((1,), self._step_size())
        self.state = self._chains().kernel.init(self.able.log_density, start, sizes)

    def _step_size(self) -> float:
        """Return the first step size on the current grid."""
        return self.settings.step_size * self.able.step_size / self.grids[-1].step_size

    @property
    def pause(self) -> float:
        """Seconds between two steps, according to the pace."""
        return 1 / self.settings.pace if self.settings.pace else 0.0

    @property
    def arrived(self) -> bool:
        """Whether all steps are taken, on all grids."""
        return self.grid == len(self.grids) - 1 and self.done >= self.settings.steps

    @property
    def log_density(self) -> float:
        """The model's log-density at the current point, up to a constant, in nats."""
        return self.state.log_density.item()

    def __next__(self) -> bytes:
        """Return the start of the chain, then its point after each step."""
        if self._begun and self.arrived:
            raise StopIteration
        if self._begun:
            self.step()
        self._begun = True
        header = {
            "type": "synthesising",
            "id": self.id,
            "step": self.taken,
            "steps": self.taken + self._left(),
            "grid": f"{self.state.x.shape[3]} x {self.state.x.shape[2]}",
            "log_density": self.log_density,
            "accept": self.accept,
            "step_size": self.state.step_size.item(),
        }
        return pack(header, pixels=pictures(self.state.x))

    def adjust(self, request: Adjustment) -> bool:
        """Continue with other settings from the next step."""
        assert isinstance(request, Change)
        self.settings = settings = request.settings
        last = max(1, settings.steps - 1)
        size = self._step_size() * self.able.chains.shrink ** (min(self.done, last) / last)
        self.state = self.state.replaced(step_size=torch.full_like(self.state.step_size, size))
        return not self.arrived

    def step(self) -> None:
        """Take one step, after going on to the next grid if all steps on this one are taken.

        Raises:
            TigonError: if the chain overflows
        """
        if self.done >= self.settings.steps:
            self.grid += 1
            self._enter(self.able.entered(self.state.x, self.rng))
        chains, before = self._chains(), self.state
        kernel = chains.kernel_of(self.done)
        self.state, info = chains.step(self.done, self.able.log_density, before, self.rng)
        self.done, self.taken = self.done + 1, self.taken + 1
        if isinstance(kernel, Langevin):
            self.accept = would_accept(before, self.state, kernel.temperature)
        else:
            self.accept = info.accept_prob.mean().item()
        if not math.isfinite(self.log_density):
            raise TigonError("the chain ran away: lower its step size, or its temperature")

    def _left(self) -> int:
        """Return how many steps are left."""
        later = len(self.grids) - 1 - self.grid
        return max(0, self.settings.steps - self.done) + later * self.settings.steps

    def _chains(self) -> MCMC:
        """Return the model's chains with the page's settings.

        Raises:
            TigonError: if their kernel cannot have them
        """
        own, wanted = self.able.chains, self.settings
        decay = StepSizeDecay.to(own.shrink, wanted.steps)
        adaptation = decay if isinstance(own.adaptation, StepSizeDecay) else own.adaptation
        try:
            kernel = with_temperature(own.kernel, wanted.temperature)
        except ValueError as error:
            raise TigonError(str(error)) from error
        return replace(own, kernel=kernel, steps=wanted.steps, adaptation=adaptation)

    def _start(self, model: Model, asked: Synthesise) -> Tensor:
        index = torch.tensor([asked.image], device=model.device)
        start = self.able.start(index)
        if asked.start == "noise":
            return _reference(self.able).sample(start, self.rng)
        if asked.start == "mean":
            return reduced(model.mean_image, start.shape[2:])
        return self.able.entered(start, self.rng) if isinstance(self.able, HasGrids) else start


def with_chains(model: Model) -> HasChains:
    """Return the displayed model if it has chains of images.

    Raises:
        TigonError: if it has none
    """
    if not isinstance(model.learner.model, HasChains):
        raise TigonError("this run's model has no chains of images")
    return model.learner.model


def _reference(able: HasChains) -> Any:  # noqa: ANN401
    found = getattr(able, "reference", None)
    if found is None:
        raise TigonError("this run's model has no reference density to draw noise from")
    return found


def with_temperature(kernel: Any, temperature: float) -> Any:  # noqa: ANN401
    """Return the kernel at this temperature; a wrapper passes it on."""
    inner = getattr(kernel, "kernel", None)
    if inner is not None:
        return replace(kernel, kernel=with_temperature(inner, temperature))
    return replace(kernel, temperature=temperature)


def would_accept(old: State, new: State, temperature: float) -> float | None:
    """Return the probability with which MALA would have accepted a Langevin step of one row.

    Unadjusted Langevin dynamics accepts every step. None at temperature 0, where a step has no
    noise and so no probability.
    """
    if not temperature:
        return None
    drawn = (new.x - drifted(old)) / per_row(old.step_size, old.x)
    log_ratio = new.log_density - old.log_density + return_ratio(old, new, drawn)
    log_ratio = log_ratio / temperature
    value = log_ratio.clamp(max=0).exp().item()
    return value if math.isfinite(value) else 0.0
