r"""A running average of weights, whose images are smoother than those of the last weights.

After t updates with weights :math:`w_1, ..., w_t` and decay d it is

.. math:: \bar w_t = \frac{1 - d}{1 - d^t} \sum_{s=1}^t d^{t-s} w_s

an exponential moving average that does not include the weights before the first update. Chains
and loss use the live weights; the average is what is sampled, shown and exported.

References:
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on
    Control and Optimization 1992.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tigon.learners.base import Learner


class AveragedWeights:
    """The average of a learner's parameters and buffers.

    When a learner changes its weights itself (`Learner.after_update`), it changes these as well.

    Arguments:
        learner: the learner whose weights are averaged
        decay: d, in [0, 1); averages over about 1 / (1 - d) updates
    """

    def __init__(self, learner: Learner, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"average must be in [0, 1), not {decay}")
        self.learner, self.decay, self.count = learner, decay, 0
        self.weights = {name: value.clone() for name, value in learner.state_dict().items()}
        learner.averaged = self.weights

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the learner's weights."""
        self.count += 1
        part = (1 - self.decay) / (1 - self.decay**self.count)
        kept = self._unaveraged()
        for name, value in self.learner.state_dict().items():
            mean = self.weights[name]
            mean.copy_(value) if name in kept else mean.lerp_(value, part)

    @torch.no_grad()
    def copy_unaveraged(self) -> None:
        """Copy from the learner what is not averaged."""
        own = self.learner.state_dict()
        for name in self._unaveraged():
            self.weights[name].copy_(own[name])

    def _unaveraged(self) -> set[str]:
        counts = {n for n, value in self.weights.items() if not value.is_floating_point()}
        declared = (f"model.{name}" for name in self.learner.model.declared("UNAVERAGED"))
        return counts | {*self.learner.given, *declared} & self.weights.keys()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the learner the averaged weights within this context."""
        own = {name: value.clone() for name, value in self.learner.state_dict().items()}
        self._put(self.weights)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, value in self.learner.state_dict().items():
            value.copy_(weights[name])

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates in the average, and the averaged weights."""
        return {"count": self.count, "weights": dict(self.weights)}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Go on from a state; from the learner's weights now, and no update, if there is none.

        Raises:
            ValueError: if it is of other weights
        """
        found = state or {"count": 0, "weights": self.learner.state_dict()}
        if type(found["count"]) is not int or found["count"] < 0:
            raise ValueError("the average's count is not a count")
        shapes = {name: value.shape for name, value in self.weights.items()}
        if {name: value.shape for name, value in found["weights"].items()} != shapes:
            raise ValueError("the averaged weights are of another model")
        self.count = found["count"]
        for name, value in self.weights.items():
            value.copy_(found["weights"][name])
        self.copy_unaveraged()
