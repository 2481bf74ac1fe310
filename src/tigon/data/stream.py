"""Images read as they come, without an index: a stream of which only one block is in memory.

The order is a function of (seed, iteration): consecutive blocks, each permuted by (seed, epoch,
block). So a run goes on by skipping to its block. At the end the stream begins anew.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.choices import require_choice
from tigon.data.batches import Batch, ImageData
from tigon.data.form import MAX_PIXELS, Form, Frames
from tigon.data.hf import PREFIX, Column, Name, open_column
from tigon.data.images import ImageSet
from tigon.data.notes import Note, Notes, said
from tigon.data.pictures import decode_all, reason
from tigon.data.pixels import Fit, to_float
from tigon.distributed import all_objects, owned, world
from tigon.errors import TigonError
from tigon.random.streams import make_rng
from tigon.sizes import ImageSize

BLOCK, BLOCK_BYTES = 1024, 2**28  # what is in memory at most
SHOWN = 5


@dataclass(frozen=True)
class ImageStream(ImageSet):
    """The first images of a stream, for reports and start images, and the way to all others.

    `pixels` and `names` are the first readable of at most 1024 examples; what else is left out is
    said on stderr as it comes.

    Arguments:
        examples: the stream itself
    """

    examples: "Examples" = field(kw_only=True)

    @property
    def streamed(self) -> bool:
        """Whether these are but the first images of a stream, to which no row can go back."""
        return True

    def name(self, row: int) -> str:
        """Return the name of the example at a position of the stream."""
        return f"{self.examples.name}[{row}]"

    def order(self, batch_size: int, seed: int) -> "StreamOrder":
        """Return the order in which batches are taken."""
        return StreamOrder(self.examples, batch_size, seed)


class Block(NamedTuple):
    """Consecutive examples of a stream.

    Attributes:
        taken: how many there are, readable or not
        positions: of those that can be read, in the stream, (R,)
        own: of those that this process owns, (O,)
        pixels: theirs, uint8 (O, H, W, C)
        labels: theirs, int64 (O,); None where the stream has none
    """

    taken: int
    positions: Tensor
    own: Tensor
    pixels: np.ndarray
    labels: Tensor | None


class Examples:
    """The examples of a stream, block by block: it reads on, or skips from the beginning.

    All processes of a run read the same blocks in the same order; each decodes what it owns.

    Arguments:
        column: the pictures
        name: what they are called
        form: what they are brought to
    """

    def __init__(self, column: Column, name: str, form: Form) -> None:
        self.column, self.name, self.form = column, name, form
        self.most = max(1, min(BLOCK, BLOCK_BYTES // math.prod(form.shape)))
        self.count: int | None = None
        self._coming: Iterator[Any] = iter(())
        self._position: int | None = None
        self._held: tuple[int, int] | None = None
        self._block: Block | None = None
        self._said: set[int] = set()

    def first(self) -> tuple[np.ndarray, list[str], np.ndarray | None, list[str]]:
        """Return the first readable images, their names and labels, and what is said of them.

        Raises:
            TigonError: if there is none
        """
        labels: dict[int, int] = {}
        notes = Notes()
        found = list(self._decode(enumerate(islice(self._from(0), self.most)), labels, notes))
        good = [(number, pixels) for number, pixels in found if not isinstance(pixels, str)]
        if not good:
            why = f"; [0] {found[0][1]}" if found else ""
            raise TigonError(
                f"data 'hf:{self.name}': none of its first {len(found)} images can be read{why}"
            )
        names, pixels = [f"{self.name}[{k}]" for k, _ in good], np.stack([p for _, p in good])
        notes.add(Note("brightest", largest=int(pixels.max())))
        return pixels, names, self._labels(labels, good), said(notes)

    def block(self, number: int, size: int) -> Block:
        """Return block `number` (0, 1, ...) of so many examples; at the end it has fewer, or none.

        `count` is known when the end has been seen.
        """
        if self._held != (number, size) or self._block is None:
            self._block = None  # two would be twice the memory
            self._block = self._read(number, size)
            self._held = (number, size)
        return self._block

    def _read(self, number: int, size: int) -> Block:
        first, (rank, processes) = number * size, world()
        went_on = self._position == first and self._position is not None
        if not went_on:
            self._coming = self._from(first)
        taken = 0

        def mine() -> Iterator[tuple[int, Any]]:
            nonlocal taken
            for position, row in enumerate(islice(self._coming, size), first):
                taken += 1
                if position % processes == rank:
                    yield position, row

        self._position = None
        labels: dict[int, int] = {}
        found = dict(self._decode(mine(), labels, Notes()))
        self._position = first + taken if taken == size else None
        if taken < size and self.count is None:
            self.count = first + taken if taken or went_on else self._counted()
        bad = {k: why for k, why in found.items() if isinstance(why, str)}
        self._leave_out(first, taken, bad := _merged(all_objects(bad)))
        good = [(k, pixels) for k, pixels in found.items() if not isinstance(pixels, str)]
        positions = [k for k in range(first, first + taken) if k not in bad]
        shape = (len(good), *self.form.shape)
        pixels = np.stack([p for _, p in good]) if good else np.empty(shape, np.uint8)
        own = torch.tensor([k for k, _ in good], dtype=torch.long)
        known = self._labels(labels, good)
        theirs = None if known is None else torch.from_numpy(known)
        return Block(taken, torch.tensor(positions, dtype=torch.long), own, pixels, theirs)

    def _decode(
        self, rows: Iterable[tuple[int, Any]], labels: dict[int, int], notes: Notes
    ) -> Iterator[tuple[int, np.ndarray | str]]:
        """Yield the picture of each row, or why there is none; add to `labels` and `notes`."""

        def cells() -> Iterator[tuple[int, Any]]:
            for position, row in rows:
                labels[position] = self.column.label_of(row)
                yield position, row[self.column.name]

        for position, found in decode_all(cells(), self.column.decode, self.form):
            if isinstance(found, str):
                yield position, found
                continue
            for note in found.notes:
                notes.add(note._replace(first=f"{self.name}[{position}]"))
            yield position, found.pixels

    def _labels(self, labels: dict[int, int], good: list[tuple[int, Any]]) -> np.ndarray | None:
        """Return the labels of readable pictures, int64 (N,), where the stream has labels."""
        if self.column.label is None:
            return None
        return np.array([labels[position] for position, _ in good], np.int64)

    def _from(self, position: int) -> Iterator[Any]:
        """Yield the rows from a position on.

        Raises:
            TigonError: if they cannot be had
        """
        try:
            yield from self.column.rows.skip(position)
        except Exception as error:  # of the network, of readers of many formats
            raise TigonError(
                f"data 'hf:{self.name}': the stream broke off ({reason(error)}); "
                "the same command continues from the last checkpoint"
            ) from error

    def _counted(self) -> int:
        """Count all examples, without looking at them: a run went on beyond the stream's end."""
        tables = self.column.rows.with_format("arrow").iter(1000)
        return sum(len(table) for table in tables)

    def _leave_out(self, first: int, taken: int, bad: dict[int, str]) -> None:
        """Say on stderr, once for each block, what cannot be read."""
        if not bad or first in self._said or world().rank > 0:
            return
        self._said.add(first)
        shown = "; ".join(f"[{k}] {bad[k]}" for k in sorted(bad)[:SHOWN])
        more = "; ..." if len(bad) > SHOWN else ""
        print(
            f"{self.name}: left out {len(bad)} of examples {first} to {first + taken - 1}: "
            f"{shown}{more}",
            file=sys.stderr,
            flush=True,
        )


def _merged(parts: list[dict[int, str]]) -> dict[int, str]:
    return {k: why for part in parts for k, why in part.items()}


@dataclass(frozen=True)
class StreamOrder:
    """Every example of a stream once an epoch, by blocks that are permuted by themselves.

    A block has as many whole batches as fit into 1024 examples, at least one. Where examples
    cannot be read, and at the end, its batches are smaller, of the same size give or take one.

    Arguments:
        examples: the stream
        batch_size: examples in a batch, >= 1
        seed: of the order, >= 0
    """

    examples: Examples
    batch_size: int
    seed: int

    @property
    def unit(self) -> int:
        """Examples that gradient evaluations are counted by: a batch's, as it has no size."""
        return self.batch_size

    @property
    def batches(self) -> int:
        """Batches in an epoch: of no known end."""
        return 1

    def size(self, iteration: int) -> int:
        """Return how many examples the batch of an iteration has, at most."""
        return self.batch_size

    def read(self, images: ImageData, iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, of the device and type of `like`."""
        index, block = self._find(iteration)
        own = owned(index)
        place = torch.searchsorted(block.own, own)
        labels = None if block.labels is None else block.labels[place]
        batch = Batch(to_float(block.pixels[place.numpy()]), own, condition=labels)
        return batch.to(like)._replace(total=len(index), among=math.inf)

    def index(self, iteration: int) -> Tensor:
        """Return the positions in the stream of the batch of this iteration (0, 1, ...), (B,)."""
        return self._find(iteration)[0]

    def _find(self, iteration: int) -> tuple[Tensor, Block]:
        """Return the positions of a batch, and the block that it is in."""
        batches = max(1, self.examples.most // self.batch_size)
        size = batches * self.batch_size
        if self.examples.count is None:
            self.examples.block(iteration // batches, size)
        epoch, number = 0, iteration
        if self.examples.count is not None:
            epoch, number = divmod(iteration, -(-self.examples.count // self.batch_size))
        place, part = divmod(number, batches)
        block = self.examples.block(place, size)
        return self._part(block, part, epoch, place), block

    def _part(self, block: Block, part: int, epoch: int, place: int) -> Tensor:
        batches, readable = -(-block.taken // self.batch_size), len(block.positions)
        if readable < batches:
            raise TigonError(
                f"data 'hf:{self.examples.name}': of {block.taken} examples in a row only "
                f"{readable} can be read, fewer than one for each batch; repair the data set"
            )
        rng = make_rng("order", self.seed, epoch, place)
        rows = torch.randperm(readable, generator=rng)
        some = rows[part * readable // batches : (part + 1) * readable // batches]
        return block.positions[some]


def open_stream(
    data: str,
    image_size: ImageSize = 64,
    fit: Fit = "stretch",
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
) -> ImageStream:
    """Open a data set of Hugging Face as a stream, of which nothing is kept on the disk.

    Arguments:
        data: hf:NAME or hf:NAME@SPLIT
        image_size: height and width in pixels, >= 8; one number for a square
        fit: `stretch` each image to this size, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        max_pixels: of a picture that is read, >= 1
    Raises:
        TigonError: if it cannot be opened, or its first images cannot be read
    """
    form = Form(image_size, fit, channels, max_pixels=max_pixels)
    name = Name.of(data)
    examples = Examples(open_column(name, streaming=True), name.label, form)
    pixels, names, labels, notes = examples.first()
    classes = examples.column.classes
    return ImageStream(
        pixels, names, [], labels=labels, classes=classes, notes=notes, examples=examples
    )


def refuse_stream(data: str, persistent: bool, mirror: bool, frames: Frames) -> None:
    """Refuse what cannot be had of a stream.

    Arguments:
        persistent: whether a chain is kept for each image
        mirror: whether mirrored copies are to follow the images
        frames: of a file with several pages or frames, the `first` or `all`
    Raises:
        TigonError: if one of these, or if data are no stream
    """
    require_choice("frames", frames, Frames)
    if persistent:
        raise TigonError(
            "--stream: a generator keeps a latent for each image, and a stream has no index by "
            "which an image meets its latent again; leave out --stream, or learn a descriptor, "
            "whose chains do not persist"
        )
    if not data.startswith(PREFIX):
        raise TigonError(f"--stream: only hf: data can be read as a stream, not {data!r}")
    if mirror:
        raise TigonError(
            "--stream with --mirror: mirrored copies follow the images of a set, and a stream has "
            "no end that they could follow; leave out one of the two"
        )
    if frames == "all":
        raise TigonError(
            "--stream with --frames all: an example of a stream is one image; leave out one of "
            "the two"
        )
