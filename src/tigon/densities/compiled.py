"""A log-density whose value and gradient, and blocks of chain steps on it, are compiled.

On small networks and batches, most of a step is the overhead of individual operations, which
compilation reduces. Large networks gain less on a CPU, which their matrix products already keep
busy. Compilation takes seconds for each density, kind of chain and shape of points.
"""

import inspect
import warnings
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from tigon.densities.log_density import LogDensity, value_and_grad

Given = ParamSpec("Given")
Found = TypeVar("Found")
# Functions with the same code share eight compilations if torch (before 2.13) cannot isolate them.
ISOLATED: dict[str, Any] = dict.fromkeys(
    {"isolate_recompiles"} & set(inspect.signature(torch.compile).parameters), True
)


class Compiled:
    """A log-density, (B, *) to (B,), compiled with `torch.compile`; chains use it like any other.

    Everything that it reads besides its argument is part of what is compiled. Parameters, and
    buffers such as a model's `sigma`, may change in place; replacing a number or tensor triggers
    a recompilation, of which torch.compile allows eight. If it cannot be compiled (no C++
    compiler, an unsupported operation, too many recompilations), it is evaluated without
    compilation, with one RuntimeWarning.

    Arguments:
        log_density: a function of tensors without random numbers
    """

    longest = 8  # gradient evaluations of a block; more take longer to compile and gain little

    def __init__(self, log_density: LogDensity) -> None:
        self.log_density, self.compiles = log_density, True
        self._compiled: dict[Hashable, Callable[..., object]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density of each row, (B,), without compilation."""
        return self.log_density(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (B,) and gradients (B, *), as `densities.value_and_grad` does."""
        return self.apply("value_and_grad", _evaluation, x)

    def apply(
        self,
        key: Hashable,
        build: Callable[[LogDensity], Callable[Given, Found]],
        *arguments: Given.args,
        **options: Given.kwargs,
    ) -> Found:
        """Return build(log-density)(*arguments), compiled on the first call.

        Arguments:
            key: cache key of the compiled function
            build: builds a function of tensors without random numbers, which evaluates the
                log-density with `densities.value_and_grad`
        """
        from torch._dynamo.exc import TorchDynamoException  # deferred: it takes a second

        if not self.compiles:
            return build(self.log_density)(*arguments, **options)
        if key not in self._compiled:
            own = build(self.log_density)
            self._compiled[key] = torch.compile(own, fullgraph=True, **ISOLATED)
        try:
            with torch.no_grad():
                return self._compiled[key](*arguments, **options)  # type: ignore[return-value]
        except TorchDynamoException as error:  # an error caused by x itself is raised again here
            found = build(self.log_density)(*arguments, **options)
            self.compiles = False
            self._warn(error)
            return found

    def _warn(self, error: Exception) -> None:
        reason = str(error.__cause__ or error).strip().split("\n")[0] or type(error).__name__
        said = (
            f"the log-density cannot be compiled; it is evaluated without compilation ({reason})"
        )
        warnings.warn(said, RuntimeWarning, stacklevel=5)


def _evaluation(log_density: LogDensity) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def evaluation(x: Tensor) -> tuple[Tensor, Tensor]:
        return value_and_grad(log_density, x)

    return evaluation
