"""Philox4x32-10 as a Triton kernel for GPUs, with the same words as `tigon.random.philox`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256


@triton.jit
def _philox(rows, out, key, blocks, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    row, count = tl.program_id(0).to(tl.int64), tl.num_programs(0).to(tl.int64)
    block = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    zero = tl.zeros((BLOCK,), tl.int64)
    example, draw = zero + tl.load(rows + row), zero + tl.load(rows + count + row)
    low, high = example.to(tl.int32), (example >> 32).to(tl.int32)
    c0, c1, c2, c3 = tl.philox(key, block, draw.to(tl.int32), low, high)
    plane, inside = count * blocks, block < blocks
    at = out + row * blocks + block
    tl.store(at, c0.to(tl.int64), inside)
    tl.store(at + plane, c1.to(tl.int64), inside)
    tl.store(at + 2 * plane, c2.to(tl.int64), inside)
    tl.store(at + 3 * plane, c3.to(tl.int64), inside)


def words(key: int, rows: Tensor, blocks: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the words of all rows, four times (B, blocks) of int64, from one launch.

    Arguments:
        key: in [0, 2^64)
        rows: examples, and the number of previous draws of each, (2, B) of int64
    """
    count = rows.shape[1]
    out = rows.new_empty(4, count, blocks)
    if out.numel():
        with torch.cuda.device_of(rows):
            grid = count, triton.cdiv(blocks, BLOCK)
            _philox[grid](rows, out, key, blocks, BLOCK=BLOCK)
    return out[0], out[1], out[2], out[3]
