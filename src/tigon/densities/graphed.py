"""A log-density on which blocks of chain steps are CUDA graphs.

On a GPU, a step of a chain on a small network is hundreds of kernels of a few microseconds each,
and most of its time is spent on launching them. A graph launches all of them at once.
"""

import warnings
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tigon.densities.log_density import LogDensity

Found = TypeVar("Found")
MOST = 8  # graphs that are kept, each for its shape of points


class Graphed:
    """A log-density, (B, *) to (B,), on which chains on a GPU take blocks of steps as graphs.

    A graph is captured at the first block of each shape, which takes a second, and again if the
    model's tensors have moved. It reads parameters and buffers where they are, so that they may
    change in place; everything else that is read besides the argument is part of what is
    captured. If it cannot be captured (an operation that waits for the GPU, too little memory),
    it is evaluated operation by operation, with one RuntimeWarning. So it is on a CPU.

    Arguments:
        log_density: a function of tensors without random numbers
        model: the module whose parameters and buffers it reads; itself, if not given

    Example:
        chains = tigon.MCMC(tigon.Langevin(0.01), steps=100)
        trace = chains.run(tigon.Graphed(model), images, rng)  # a model of images on a GPU
    """

    longest = 32  # gradient evaluations of a block; a graph's memory does not grow with them

    def __init__(self, log_density: LogDensity, model: nn.Module | None = None) -> None:
        self.log_density, self.captures = log_density, True
        self.model: Any = model or log_density
        self._graphs: dict[Hashable, _Graph] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density of each row, (B,)."""
        return self.log_density(x)

    def apply(
        self, key: Hashable, build: Callable[[Any], Callable[..., Found]], *arguments: object
    ) -> Found:
        """Return build(log-density)(*arguments), from a graph if they are on a GPU.

        Arguments:
            key: what the function depends on, besides the shapes of its arguments
            build: makes a function of nested tuples and lists of tensors
        """
        function, given = build(self.log_density), list(tensors_of(arguments))
        if not self.captures or not all(each.is_cuda for each in given):
            return function(*arguments)
        shapes = tuple((each.shape, each.dtype, each.device) for each in given)
        where = key, shapes, self._surroundings()
        if where not in self._graphs:
            try:
                graph = _Graph(function, arguments, given)
            except RuntimeError as error:
                self.captures = False
                self._warn(error)
                return function(*arguments)
            while len(self._graphs) >= MOST:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[where] = graph
        return self._graphs[where](given)

    def _surroundings(self) -> Hashable:
        """What else a graph is captured with: where tensors lie, and how operations work."""
        model = self.model
        held = tuple(each.data_ptr() for each in (*model.parameters(), *model.buffers()))
        rounded = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda")
        return held, rounded, model.training

    def _warn(self, error: Exception) -> None:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        said = f"chains cannot be captured as a CUDA graph, and are slower without ({reason})"
        warnings.warn(said, RuntimeWarning, stacklevel=5)


class _Graph:
    """A function of tensors, captured."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[object, ...], given: list[Tensor]
    ) -> None:
        with torch.cuda.device(given[0].device):
            self.given = [each.clone() for each in given]
            own = with_tensors(arguments, iter(self.given))
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # libraries choose their algorithms at a first call
                function(*own)
            torch.cuda.current_stream().wait_stream(aside)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.found = function(*own)

    def __call__(self, given: list[Tensor]) -> Any:  # noqa: ANN401
        for mine, theirs in zip(self.given, given, strict=True):
            mine.copy_(theirs)
        self.graph.replay()
        return with_tensors(self.found, (each.clone() for each in tensors_of(self.found)))


def tensors_of(value: object) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples and lists, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from tensors_of(each)


def with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:  # noqa: ANN401
    """Return nested tuples and lists with other tensors, in the order of `tensors_of`."""
    if isinstance(value, Tensor):
        return next(tensors)
    if not isinstance(value, tuple | list):
        return value
    parts = [with_tensors(each, tensors) for each in value]
    if isinstance(value, list):
        return parts
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
