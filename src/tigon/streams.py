"""Random streams: noise that is a function of (seed, iteration, example).

A chain that draws its noise from a stream of its own does not depend on which other chains share
its batch, nor on the number of processes. `Rng` is what every sampler of this package takes: one
`torch.Generator` for all rows, or `Streams`, one generator a row.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def seed_of(*key: int | str) -> int:
    """Hash integers and words to a seed; different keys give independent streams.

    A CPU generator uses 32 bits of it, so among millions of streams a few coincide.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def make_rng(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator on `device`, seeded with the hash of `key`."""
    return torch.Generator(device=device).manual_seed(seed_of(*key))


class Streams:
    """One generator a row: row i draws from the stream (purpose, seed, iteration, index[i]).

    Arguments:
        seed: of the run or of the draw
        iteration: of the run; 0 where there is none
        index: the example that each row belongs to, (B,)
        purpose: what is drawn; draws for different purposes are independent
        device: where noise is drawn
    """

    def __init__(
        self,
        seed: int,
        iteration: int,
        index: Sequence[int] | Tensor,
        purpose: str = "chains",
        device: torch.device | str = "cpu",
    ) -> None:
        self.rows = [make_rng(purpose, seed, iteration, int(i), device=device) for i in index]

    def fill(self, draw: Callable[..., Tensor], shape: Sequence[int], like: Tensor) -> Tensor:
        """Stack one `draw` of `shape[1:]` from each row's stream, in order."""
        if len(self.rows) != shape[0]:
            raise ValueError(f"{shape[0]} rows asked of {len(self.rows)} streams")
        options = {"dtype": like.dtype, "device": like.device}
        if not self.rows:
            return like.new_empty(shape)
        return torch.stack([draw(shape[1:], generator=row, **options) for row in self.rows])


Rng = torch.Generator | Streams
Draw = Callable[[Rng, Tensor], Tensor]  # `normal` or `uniform`


def rows(rng: Rng, part: slice) -> Rng:
    """Return the streams of these rows; one generator for all rows stays as it is."""
    if isinstance(rng, torch.Generator):
        return rng
    some = Streams(0, 0, ())
    some.rows = rng.rows[part]
    return some


def normal(rng: Rng, like: Tensor) -> Tensor:
    """Draw standard normal noise of the shape, type and device of `like` (B, *)."""
    return _draw(torch.randn, rng, like.shape, like)


def uniform(rng: Rng, like: Tensor) -> Tensor:
    """Draw one uniform number in [0, 1) for each row of `like`; returns (B,)."""
    return _draw(torch.rand, rng, like.shape[:1], like)


def _draw(draw: Callable[..., Tensor], rng: Rng, shape: Sequence[int], like: Tensor) -> Tensor:
    if isinstance(rng, torch.Generator):
        return draw(shape, generator=rng, dtype=like.dtype, device=like.device)
    return rng.fill(draw, shape, like)
