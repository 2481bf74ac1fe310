r"""Random streams: noise that is a function of (seed, iteration, example).

A chain that draws its noise from its own stream depends neither on the other chains in its batch
nor on the number of processes. Every sampler in this package takes an `Rng`: one `torch.Generator`
for all rows, or a `RowRng` with one stream per row.

Words of Philox, a counter-based generator, are converted to numbers for the whole batch at once,
normal ones with the Box-Muller transform,

.. math:: \sqrt{-2 \log u} \cos 2 \pi v, \quad \sqrt{-2 \log u} \sin 2 \pi v.

On a CPU, rows of many numbers come from PyTorch's Mersenne twisters instead, one per row, which
are faster there; the whole state of each is a hash of the stream's key.

References:
    Box, Muller: A note on the generation of random normal deviates (1958).
"""

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from tigon.random.philox import normal_numbers, uniforms, words

MANY = 256  # numbers per row above which twisters are faster on a CPU
TWISTER = slice(24, 24 + 8 * 624)  # in a CPU generator's state: 32-bit words, each as 64 bits


def seed_of(*key: int | str) -> int:
    """Hash integers and strings to a 56-bit seed; different keys give independent streams.

    A CPU `torch.Generator` uses 32 bits of it, so among millions of them a few coincide.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def make_rng(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator on `device`, seeded with the hash of `key`."""
    return torch.Generator(device=device).manual_seed(seed_of(*key))


@contextmanager
def global_stream(device: torch.device, *key: int | str) -> Iterator[None]:
    """Seed PyTorch's global generators by `key` within, for layers that draw, such as dropout.

    Afterwards they go on as if nothing had been drawn.
    """
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed_of(*key))
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed_of(*key))
        yield


class RowRng:
    """One stream per row: row i draws from the stream (purpose, seed, iteration, index[i]).

    No two examples, and no two draws of one example, share any part of a stream. Noise is drawn on
    the device of the points. Between devices it differs only by rounding, except for rows of more
    than 256 numbers, which differ between CPUs and other devices.

    Arguments:
        seed: seed of the run or of the draw
        iteration: iteration of the run; 0 if there is none
        index: the example that each row belongs to, (B,)
        purpose: what is drawn; draws for different purposes are independent
    """

    def __init__(
        self, seed: int, iteration: int, index: Sequence[int] | Tensor, purpose: str = "chains"
    ) -> None:
        self.name = repr((purpose, seed, iteration)).encode()
        self.key = int.from_bytes(hashlib.blake2b(self.name, digest_size=8).digest(), "little")
        self.index = torch.as_tensor(index, dtype=torch.int64, device="cpu").numpy().copy()
        self.drawn = np.zeros_like(self.index)  # number of draws of each row
        self.twisters = np.full(len(self.index), None)

    def normal(self, like: Tensor) -> Tensor:
        """Draw standard normal noise with the shape, type and device of `like` (B, *)."""
        self._check(like)
        return self._twisted(like) if self._twists(like) else self.normals(like, 1)[0]

    def normals(self, like: Tensor, times: int) -> Tensor:
        """Draw what `normal` draws in so many calls, (times, B, *); on a GPU, at once."""
        self._check(like)
        if self._twists(like):
            return torch.stack([self._twisted(like) for _ in range(times)])
        count = math.prod(like.shape[1:])
        index, drawn = np.tile(self.index, times), self.drawn + np.arange(times)[:, None]
        numbers = normal_numbers(
            self.key, index, drawn.ravel(), -(-count // 4), like.device, like.dtype
        )
        self.drawn += times
        return numbers[:, :count].to(like).reshape(times, *like.shape).contiguous()

    def uniform(self, like: Tensor) -> Tensor:
        """Draw what the function `uniform` draws."""
        self._check(like)
        drawn = words(self.key, self.index, self.drawn, 1, like.device)
        self.drawn += 1
        return uniforms(drawn, fine(like.dtype))[:, 0].to(like.device)

    @staticmethod
    def _twists(like: Tensor) -> bool:
        return like.device.type == "cpu" and math.prod(like.shape[1:]) > MANY

    def _twisted(self, like: Tensor) -> Tensor:
        new = [i for i, rng in enumerate(self.twisters) if rng is None]
        if new:
            self.twisters[new] = twisters(self.name + b"%d" % i for i in self.index[new].tolist())
        drawn = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        for rng, numbers in zip(self.twisters, drawn, strict=True):
            numbers.normal_(generator=rng)
        return drawn

    def _check(self, like: Tensor) -> None:
        if len(self.index) != len(like):
            raise ValueError(f"{len(like)} rows requested from {len(self.index)} streams")


def twisters(names: Iterable[bytes]) -> list[torch.Generator]:
    """Return Mersenne twisters on the CPU; the whole state of each is the hash of its name."""
    state = torch.Generator().get_state()
    own = state.numpy()[TWISTER].view(np.uint64)
    made = []
    for name in names:
        own[:] = np.frombuffer(whole(name), np.uint32)
        made.append(torch.Generator().set_state(state))
    return made


def whole(name: bytes) -> bytes:
    """Return the 624 words of a twister's state, a hash of `name`."""
    return hashlib.shake_128(name).digest(4 * 624)


def fine(dtype: torch.dtype) -> torch.dtype:
    """Return a type, or single precision if it is coarser, as that of uniform numbers is."""
    return torch.promote_types(dtype, torch.float32)


Rng = torch.Generator | RowRng
Draw = Callable[[Rng, Tensor], Tensor]  # `normal` or `uniform`


def rows(rng: Rng, part: slice) -> Rng:
    """Return the streams of these rows; a single generator for all rows is returned unchanged.

    Their draws also count for the original.
    """
    if isinstance(rng, torch.Generator):
        return rng
    some = copy.copy(rng)
    some.index, some.drawn, some.twisters = (
        each[part] for each in (rng.index, rng.drawn, rng.twisters)
    )
    return some


def normal(rng: Rng, like: Tensor) -> Tensor:
    """Draw standard normal noise with the shape, type and device of `like` (B, *).

    A single generator draws on its own device, and the noise is moved to the points: a CPU
    generator gives a model on a GPU the same noise as one on the CPU.
    """
    if isinstance(rng, torch.Generator):
        drawn = torch.randn(like.shape, generator=rng, dtype=like.dtype, device=rng.device)
        return drawn.to(like.device)
    return rng.normal(like)


def normals(rng: Rng, like: Tensor, times: int) -> Tensor:
    """Draw what `normal` draws in so many calls, (times, B, *)."""
    if isinstance(rng, torch.Generator):
        return torch.stack([normal(rng, like) for _ in range(times)])
    return rng.normals(like, times)


def uniform(rng: Rng, like: Tensor) -> Tensor:
    """Draw one uniform number in [0, 1) per row of `like`, (B,), of float32 or float64.

    In half precision there are 256 of them, and every 256th would be 0: below any probability.
    """
    if isinstance(rng, torch.Generator):
        dtype = fine(like.dtype)
        drawn = torch.rand(like.shape[:1], generator=rng, dtype=dtype, device=rng.device)
        return drawn.to(like.device)
    return rng.uniform(like)
