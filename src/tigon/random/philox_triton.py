"""Philox4x32-10 as Triton kernels for GPUs, with the same words as `tigon.random.philox`."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
PART = tl.constexpr(2.0**-32)
TURN = tl.constexpr(math.pi * 2**-31)  # 2 pi, of 2^32 parts


@triton.jit
def _drawn(rows, key, blocks, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    row, count = tl.program_id(0).to(tl.int64), tl.num_programs(0).to(tl.int64)
    block = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    zero = tl.zeros((BLOCK,), tl.int64)
    example, draw = zero + tl.load(rows + row), zero + tl.load(rows + count + row)
    low, high = example.to(tl.int32), (example >> 32).to(tl.int32)
    c0, c1, c2, c3 = tl.philox(key, block, draw.to(tl.int32), low, high)
    return block, c0, c1, c2, c3


@triton.jit
def _philox(rows, out, key, blocks, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    block, c0, c1, c2, c3 = _drawn(rows, key, blocks, BLOCK)
    plane, inside = tl.num_programs(0).to(tl.int64) * blocks, block < blocks
    at = out + tl.program_id(0).to(tl.int64) * blocks + block
    tl.store(at, c0.to(tl.int64), inside)
    tl.store(at + plane, c1.to(tl.int64), inside)
    tl.store(at + 2 * plane, c2.to(tl.int64), inside)
    tl.store(at + 3 * plane, c3.to(tl.int64), inside)


@triton.jit
def _pair(at, u, v, plane, inside):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    # Triton's logarithm of a float32 is an approximation, above 0 for some numbers below 1.
    uniform = (u.to(tl.float32) + 0.5) * PART
    radius = tl.sqrt((-2.0 * tl.log(uniform.to(tl.float64))).to(tl.float32))
    angle = v.to(tl.float32) * TURN
    tl.store(at, radius * tl.cos(angle), inside)
    tl.store(at + plane, radius * tl.sin(angle), inside)


@triton.jit
def _box_muller(rows, out, key, blocks, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    block, c0, c1, c2, c3 = _drawn(rows, key, blocks, BLOCK)
    at = out + tl.program_id(0).to(tl.int64) * 4 * blocks + block
    _pair(at, c0, c1, blocks, block < blocks)
    _pair(at + 2 * blocks, c2, c3, blocks, block < blocks)


def words(key: int, rows: Tensor, blocks: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the words of all rows, four times (B, blocks) of int64, from one launch.

    Arguments:
        key: in [0, 2^64)
        rows: examples, and the number of previous draws of each, (2, B) of int64
    """
    out = rows.new_empty(4, rows.shape[1], blocks)
    _launch(_philox, rows, out, key, blocks)
    return out[0], out[1], out[2], out[3]


def normals(key: int, rows: Tensor, blocks: int) -> Tensor:
    """Return standard normal numbers of all rows, (B, 4 * blocks) of float32, from one launch.

    Arguments:
        key, rows: see `words`, whose numbers they are made of
    """
    out = rows.new_empty(rows.shape[1], 4 * blocks, dtype=torch.float32)
    _launch(_box_muller, rows, out, key, blocks)
    return out


def _launch(kernel, rows: Tensor, out: Tensor, key: int, blocks: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if out.numel():
        with torch.cuda.device_of(rows):
            kernel[rows.shape[1], triton.cdiv(blocks, BLOCK)](rows, out, key, blocks, BLOCK=BLOCK)
