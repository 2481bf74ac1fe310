"""A log-density whose value and gradient, and blocks of steps with it, are compiled functions.

On small networks and batches most of a step is the overhead of single operations, which a compiled
function has less of. Large networks gain less on a CPU, which their matrix products already
fill. Compiling takes seconds, for each density, kind of chain and shape of points.
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
# Functions of one code share eight compilations where torch (before 2.13) cannot isolate them.
ISOLATED: dict[str, Any] = dict.fromkeys(
    {"isolate_recompiles"} & set(inspect.signature(torch.compile).parameters), True
)


class Compiled:
    """A log-density, (B, *) to (B,), evaluated by `torch.compile`; chains take it as any other.

    What it reads besides its argument belongs to what is compiled: parameters, and buffers such
    as a model's `sigma`, may change in place; another number or tensor in its place leads to
    another compilation, of which torch.compile makes eight. Where it cannot be compiled (no C++
    compiler, an operation that is not known, too many compilations), it is evaluated as it is,
    with one RuntimeWarning that says so.

    Arguments:
        log_density: a function of tensors without random numbers
    """

    def __init__(self, log_density: LogDensity) -> None:
        self.log_density, self.compiles = log_density, True
        self._compiled: dict[Hashable, Callable[..., object]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density of each row, (B,), not compiled."""
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
        """Return build(log-density)(*arguments), which is compiled the first time.

        Arguments:
            key: under which the compiled function is kept
            build: makes a function of tensors without random numbers, which asks the log-density
                by `densities.value_and_grad`
        """
        from torch._dynamo.exc import TorchDynamoException  # takes a second, so not before

        if not self.compiles:
            return build(self.log_density)(*arguments, **options)
        if key not in self._compiled:
            traced = build(_Traced(self.log_density))
            self._compiled[key] = torch.compile(traced, fullgraph=True, **ISOLATED)
        try:
            with torch.no_grad():
                return self._compiled[key](*arguments, **options)  # type: ignore[return-value]
        except TorchDynamoException as error:  # what is wrong with x itself is raised again here
            found = build(self.log_density)(*arguments, **options)
            self.compiles = False
            self._warn(error)
            return found

    def _warn(self, error: Exception) -> None:
        reason = str(error.__cause__ or error).strip().split("\n")[0] or type(error).__name__
        said = f"the log-density cannot be compiled, and is evaluated as it is ({reason})"
        warnings.warn(said, RuntimeWarning, stacklevel=5)


class _Traced:
    """The log-density with a gradient that torch.compile can trace."""

    def __init__(self, log_density: LogDensity) -> None:
        self.log_density = log_density

    def __call__(self, x: Tensor) -> Tensor:
        return self.log_density(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gradient, (_, value) = torch.func.grad_and_value(self._summed, has_aux=True)(x)
        return value, gradient

    def _summed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value = self.log_density(x)
        if value.shape != x.shape[:1]:
            raise ValueError("not one number a row")
        return value.sum(), value


def _evaluation(log_density: LogDensity) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def evaluation(x: Tensor) -> tuple[Tensor, Tensor]:
        return value_and_grad(log_density, x)

    return evaluation
