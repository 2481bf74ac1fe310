"""Several processes, one run: which process owns which rows, and sums over processes.

Row i belongs to process i mod size for the whole run, or to the process that owns its shard, so
no row ever has two owners. In a single process (no process group), every function here does
nothing. Sums over processes are identical in all of them.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tigon.errors import TigonError

T = TypeVar("T")
TIMEOUT, LONGEST = 300.0, 1e6


class World(NamedTuple):
    """This process's rank, and the number of processes."""

    rank: int
    size: int


def world() -> World:
    """Return this process's rank and the number of processes: (0, 1) if it is alone."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World(0, 1)


def launched() -> bool:
    """Return whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def process_group(device: torch.device, timeout: float = TIMEOUT) -> Iterator[World]:
    """Join the processes that torchrun started, inside the block; a single one stays alone.

    Arguments:
        device: NCCL is used for GPUs, gloo for CPUs
        timeout: seconds without an answer after which a process counts as lost
    Raises:
        TigonError: if another process is lost, or none answers
    """
    if not 0 < timeout < LONGEST:
        raise TigonError(f"--timeout {timeout:g}: must be above 0 and below {LONGEST:g} seconds")
    if not launched() or dist.is_initialized():
        yield world()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        yield world()
    except (dist.DistError, RuntimeError) as error:
        if not _of_communication(error):
            raise
        raise TigonError(
            "another process was lost; what was saved is intact, and the same command continues "
            f"from it, with as many processes as you like ({' '.join(str(error).split())[:200]})"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def leave(status: int) -> NoReturn:
    """End this process with a status.

    One of several processes skips the interpreter's shutdown: gloo's threads may still use the
    last gradients' buffers, which aborted about one in ten processes here (torch 2.13).
    """
    if launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def own_device(device: torch.device) -> torch.device:
    """Return this process's own GPU if several share a machine; other devices unchanged."""
    if device.type == "cuda" and device.index is None and launched():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def owned(index: Tensor) -> Tensor:
    """Return the rows among `index` (B,) that this process owns."""
    rank, size = world()
    return index if size == 1 else index[index % size == rank]


def slots(index: Tensor) -> Tensor:
    """Return where this process keeps the rows `index` (B,) that it owns."""
    size = world().size
    return index if size == 1 else index // size


def mine(rows: Tensor) -> Tensor:
    """Return this process's part of all rows (N, *)."""
    rank, size = world()
    return rows if size == 1 else rows[rank::size]


def all_sum(values: Tensor) -> Tensor:
    """Return the sum of tensors of any shape over processes."""
    if world().size == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values


def all_rows(part: Tensor) -> Tensor:
    """Return all rows (N, *) from each process's `mine`, in order."""
    size = world().size
    if size == 1:
        return part
    counts = [torch.zeros((), dtype=torch.long, device=part.device) for _ in range(size)]
    dist.all_gather(counts, torch.tensor(len(part), device=part.device))
    parts = _gathered(part, int(max(counts)))
    total = int(sum(counts))
    return torch.stack(parts, 1).flatten(0, 1)[:total]


def gathered(part: Tensor) -> Tensor:
    """Return the rows (B, *) of all processes, concatenated in their order."""
    if world().size == 1:
        return part
    counts = all_objects(len(part))
    parts = zip(_gathered(part, max(counts)), counts, strict=True)
    return torch.cat([rows[:count] for rows, count in parts])


def _gathered(part: Tensor, longest: int) -> list[Tensor]:
    """Return every process's part (M, *), padded to `longest` rows."""
    padded = part.new_zeros(longest, *part.shape[1:])
    padded[: len(part)] = part
    parts = [torch.empty_like(padded) for _ in range(world().size)]
    dist.all_gather(parts, padded)
    return parts


class Ownership:
    """Which process owns which rows, and where it keeps them: row i, process i mod size."""

    def owned(self, index: Tensor) -> Tensor:
        """Return the rows among `index` (B,) that this process owns."""
        return owned(index)

    def slots(self, index: Tensor) -> Tensor:
        """Return where this process keeps the rows `index` (B,) that it owns."""
        return slots(index)

    def mine(self, rows: Tensor) -> Tensor:
        """Return this process's part of all rows (N, *)."""
        return mine(rows)

    def all_rows(self, part: Tensor) -> Tensor:
        """Return all rows (N, *) from each process's `mine`, in order."""
        return all_rows(part)


class ShardOwnership(Ownership):
    """Ownership by shards: each process owns all rows of its shards, wherever they are.

    Arguments:
        counts: number of rows of each shard, in order
        owners: the process that owns each shard
    """

    def __init__(self, counts: Sequence[int], owners: Sequence[int]) -> None:
        self.owners = torch.tensor(owners)
        self.ends = torch.tensor(counts).cumsum(0)
        self.starts = self.ends - torch.tensor(counts)
        self.kept = torch.zeros_like(self.ends)
        for process in set(owners):
            own = self.owners == process
            held = torch.tensor(counts)[own]
            self.kept[own] = held.cumsum(0) - held

    def shards(self, index: Tensor) -> Tensor:
        """Return the shard of each of the rows `index` (B,)."""
        return torch.bucketize(index, self.ends.to(index.device), right=True)

    def owned(self, index: Tensor) -> Tensor:
        """Return the rows among `index` (B,) that this process owns."""
        return index[self.owners.to(index.device)[self.shards(index)] == world().rank]

    def slots(self, index: Tensor) -> Tensor:
        """Return where this process keeps the rows `index` (B,) that it owns."""
        moved = (self.kept - self.starts).to(index.device)
        return index + moved[self.shards(index)]

    def mine(self, rows: Tensor) -> Tensor:
        """Return this process's part of all rows (N, *)."""
        return rows[self.owned(torch.arange(len(rows), device=rows.device))]

    def all_rows(self, part: Tensor) -> Tensor:
        """Return all rows (N, *) from each process's `mine`, in order."""
        size = world().size
        if size == 1:
            return part
        counts = self.ends - self.starts
        held = [int(counts[self.owners == process].sum()) for process in range(size)]
        parts = _gathered(part, max(held))
        blocks = zip(self.owners.tolist(), self.kept.tolist(), counts.tolist(), strict=True)
        return torch.cat([parts[owner][at : at + count] for owner, at, count in blocks])


def in_all_processes(module: nn.Module) -> nn.Module:
    """Wrap the module so that its gradients are averaged over processes."""
    if world().size == 1:
        return module
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
        raise TigonError(
            "norm 'batch': batch statistics would cover only one process's part of a batch; use "
            "--network.norm none or group, or one process"
        )
    return nn.parallel.DistributedDataParallel(module)


def any_of(flag: bool) -> bool:
    """Return whether the flag is true in any process."""
    if world().size == 1:
        return flag
    return any(all_objects(flag))


def wait_for_all() -> None:
    """Wait until every process has reached this point."""
    if world().size > 1:
        dist.barrier()


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process run the block before the others, which then find its files."""
    if world().rank > 0:
        wait_for_all()
    yield
    if world().rank == 0:
        wait_for_all()


def all_objects(value: T) -> list[T]:
    """Return every process's value, in their order; for small values."""
    size = world().size
    if size == 1:
        return [value]
    values: list[T] = [value] * size
    dist.all_gather_object(values, value)
    return values


def _of_communication(error: BaseException) -> bool:
    said = str(error).lower()
    words = ("connection", "peer", "gloo", "nccl", "timed out", "timeout", "rendezvous", "socket")
    return isinstance(error, dist.DistError) or any(word in said for word in words)
