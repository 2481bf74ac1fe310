r"""Philox4x32-10: random words that are a function of a counter and a key.

.. math:: (c_0, c_1, c_2, c_3) \leftarrow
    (h(M_1 c_2) \oplus c_1 \oplus k_0,\; l(M_1 c_2),\;
     h(M_0 c_0) \oplus c_3 \oplus k_1,\; l(M_0 c_0))

ten times, with the high and low halves h and l of 64-bit products, and keys that follow Weyl
sequences. For a fixed key it is a bijection: different counters never give the same words.

References:
    Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (2011).
"""

import math
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROUNDS = 10
WORD = 2**32 - 1

Words = tuple[Any, Any, Any, Any]  # integers; arrays, on a CPU; tensors, elsewhere; of int64


def philox(counter: Words, key: int) -> Words:
    """Return the four words of each counter.

    Arguments:
        counter: four words, each in [0, 2^32), that broadcast
        key: in [0, 2^64)
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key & WORD, key >> 32
    for _ in range(ROUNDS):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57  # 64 bits; int64 wraps, and has the same bits
        c0, c1 = p1 >> 32 & WORD ^ c1 ^ k0, p1 & WORD
        c2, c3 = p0 >> 32 & WORD ^ c3 ^ k1, p0 & WORD
        k0, k1 = k0 + 0x9E3779B9 & WORD, k1 + 0xBB67AE85 & WORD
    return c0, c1, c2, c3


def words(
    key: int, index: np.ndarray, drawn: np.ndarray, blocks: int, device: torch.device
) -> Words:
    """Return 4 * `blocks` words for each row: four times (B, blocks).

    They are the same on every device. On a GPU, one kernel draws all rows.

    Arguments:
        index: the example of each row, (B,) of int64
        drawn: number of previous draws of each row, (B,) of int64
    """
    if device.type == "cpu":  # NumPy takes a third of the time of PyTorch here
        return philox(counter(index, drawn, np.arange(blocks)), key)
    rows = _placed(index, drawn, device)
    kernels = kernels_of(device) if device.type == "cuda" else None
    if kernels is not None:
        return kernels.words(key, rows, blocks)
    return philox(counter(rows[0], rows[1], torch.arange(blocks, device=device)), key)


def normal_numbers(
    key: int,
    index: np.ndarray,
    drawn: np.ndarray,
    blocks: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Return 4 * `blocks` standard normal numbers for each row, (B, 4 * blocks).

    They differ between devices by rounding only. Numbers are of float64 if `dtype` is, otherwise
    of float32, which one kernel draws on a GPU.

    Arguments:
        index, drawn: see `words`
    """
    by_kernel = device.type == "cuda" and dtype != torch.float64
    kernels = kernels_of(device) if by_kernel else None
    if kernels is None:
        return normals(words(key, index, drawn, blocks, device), dtype)
    return kernels.normals(key, _placed(index, drawn, device), blocks)


def _placed(index: np.ndarray, drawn: np.ndarray, device: torch.device) -> Tensor:
    """Return both of each row on the device, (2, B)."""
    return torch.from_numpy(np.stack([index, drawn])).to(device)


def normals(words: Words, dtype: torch.dtype) -> Tensor:
    """Return one standard normal number per word, (B, 4 * blocks) of float32 or float64."""
    xp: Any = np if isinstance(words[0], np.ndarray) else torch
    real = xp.float64 if dtype == torch.float64 else xp.float32
    drawn = []
    for u, v in (words[:2], words[2:]):
        radius = xp.sqrt(-2 * xp.log((xp.asarray(u, dtype=real) + 0.5) * 2**-32))
        angle = xp.asarray(v, dtype=real) * (math.pi * 2**-31)
        drawn += [radius * xp.cos(angle), radius * xp.sin(angle)]
    return torch.as_tensor(xp.concatenate(drawn, 1))


def uniforms(words: Words, dtype: torch.dtype) -> Tensor:
    """Return one uniform number in [0, 1) per block of words, (B, blocks), to full precision."""
    digits = 1 - round(math.log2(torch.finfo(dtype).eps))
    whole = torch.as_tensor((words[0] << 21 | words[1] >> 11) >> 53 - digits)
    return whole.to(dtype) * 2.0**-digits


def counter(index: Any, drawn: Any, block: Any) -> Words:  # noqa: ANN401
    """Return words (block, draw, low and high word of the example), broadcast to (B, blocks)."""
    index, drawn = index[:, None], drawn[:, None]
    return block[None], drawn & WORD, index & WORD, index >> 32 & WORD


@cache
def kernels_of(device: torch.device) -> Any:  # noqa: ANN401
    """Return the module of Triton's kernels, or None if they cannot be used.

    That is so if Triton is not installed or, with a warning, if they do not run: Triton needs a C
    compiler, which machines with a GPU often lack. The words are the same.
    """
    try:
        from tigon.random import philox_triton as kernels
    except ImportError:
        return None
    try:
        for kernel in (kernels.words, kernels.normals):
            kernel(0, torch.zeros(2, 1, dtype=torch.int64, device=device), 1)
    except Exception as error:  # each version of Triton has its own errors
        told = f"noise is drawn without Triton, which is slower: {error}"
        warnings.warn(told, RuntimeWarning, stacklevel=2)
        return None
    return kernels
