"""Images read in sequence, without an index: a stream with only one block in memory.

The order is a function of (seed, iteration): consecutive blocks, each permuted by (seed, epoch,
block), so a run continues by skipping to its block. At its end the stream starts again.
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
from tigon.data.lazy_rows import parted
from tigon.data.masks import ALPHA
from tigon.data.notes import Note, Notes, said
from tigon.data.pictures import decode_all, reason
from tigon.data.pixels import Fit, to_float, to_mask
from tigon.distributed import all_objects, owned, world
from tigon.errors import TigonError
from tigon.files import printable
from tigon.random.streams import make_rng
from tigon.sizes import ImageSize

BLOCK, BLOCK_BYTES = 1024, 2**28  # most images, and most bytes, in memory
SHOWN = 5


@dataclass(frozen=True)
class ImageStream(ImageSet):
    """The first images of a stream, for reports and start images, and access to all others.

    `pixels` and `names` are the readable ones of at most 1024 first examples; examples left out
    later are reported on stderr as they come.

    Arguments:
        examples: the stream itself
    """

    examples: "Examples" = field(kw_only=True)

    @property
    def streamed(self) -> bool:
        """Whether these are only the first images of a stream, which cannot be indexed by row."""
        return True

    def name(self, row: int) -> str:
        """Return the name of the example at a position in the stream."""
        return f"{self.examples.name}[{row}]"

    def order(self, batch_size: int, seed: int) -> "StreamOrder":
        """Return the order of the batches."""
        return StreamOrder(self.examples, batch_size, seed)


class Block(NamedTuple):
    """Consecutive examples of a stream.

    Attributes:
        taken: number of examples, readable or not
        positions: positions in the stream of the readable ones, (R,)
        own: positions of those that this process owns, (O,)
        pixels: their pixels, uint8 (O, H, W, C)
        labels: their labels, int64 (O,); None if the stream has none
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
        name: name of the stream
        form: form that the pictures are converted to
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
        """Return the first readable images, their names and labels, and the notes on them.

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
        """Return block `number` (0, 1, ...) of `size` examples; at the end it has fewer, or none.

        `count` is known once the end has been seen.
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
            if self.form.alpha and not found.pixels[..., -1].any():
                yield position, "is transparent everywhere"
                continue
            for note in found.notes:
                notes.add(note._replace(first=f"{self.name}[{position}]"))
            yield position, found.pixels

    def _labels(self, labels: dict[int, int], good: list[tuple[int, Any]]) -> np.ndarray | None:
        """Return the labels of readable pictures, int64 (N,), if the stream has labels."""
        if self.column.label is None:
            return None
        return np.array([labels[position] for position, _ in good], np.int64)

    def _from(self, position: int) -> Iterator[Any]:
        """Yield the rows from a position on.

        Raises:
            TigonError: if they cannot be read
        """
        try:
            yield from self.column.rows.skip(position)
        except Exception as error:  # from the network, or readers of many formats
            raise TigonError(
                f"data 'hf:{self.name}': the stream broke off ({reason(error)}); "
                "the same command continues from the last checkpoint"
            ) from error

    def _counted(self) -> int:
        """Count all examples without decoding them: a run continues beyond the stream's end."""
        tables = self.column.rows.with_format("arrow").iter(1000)
        return sum(len(table) for table in tables)

    def _leave_out(self, first: int, taken: int, bad: dict[int, str]) -> None:
        """Report on stderr, once for each block, what cannot be read."""
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
    """Every example of a stream once per epoch, in blocks that are permuted independently.

    A block has as many whole batches as fit into 1024 examples, at least one. If examples cannot
    be read, and at the end, its batches are smaller, and their sizes differ by at most one.

    Arguments:
        examples: the stream
        batch_size: examples in a batch, >= 1
        seed: seed for the order, >= 0
    """

    examples: Examples
    batch_size: int
    seed: int

    @property
    def unit(self) -> int:
        """Examples per unit of gradient evaluations: one batch, as a stream has no known size."""
        return self.batch_size

    @property
    def batches(self) -> int:
        """Batches in an epoch: 1, as its end is not known."""
        return 1

    def size(self, iteration: int) -> int:
        """Return the most examples that an iteration's batch can have."""
        return self.batch_size

    def read(self, images: ImageData, iteration: int, like: Tensor) -> Batch:
        """Return this process's part of the batch, with the device and type of `like`."""
        index, block = self._find(iteration)
        own = owned(index)
        place = torch.searchsorted(block.own, own)
        labels = None if block.labels is None else block.labels[place]
        pixels, masks = parted(block.pixels[place.numpy()], self.examples.form.alpha)
        mask = None if masks is None else to_mask(masks)
        batch = Batch(to_float(pixels), own, mask, labels)
        return batch.to(like)._replace(total=len(index), among=math.inf)

    def index(self, iteration: int) -> Tensor:
        """Return the stream positions (B,) of the batch of this iteration (0, 1, ...)."""
        return self._find(iteration)[0]

    def _find(self, iteration: int) -> tuple[Tensor, Block]:
        """Return the positions of a batch, and the block that contains it."""
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
    alpha: bool = False,
) -> ImageStream:
    """Open a Hugging Face data set as a stream; nothing is kept on disk.

    Arguments:
        data: hf:NAME or hf:NAME@SPLIT
        image_size: height and width in pixels, >= 8; one number for a square
        fit: `stretch` each image to this size, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        max_pixels: largest picture to read, >= 1
        alpha: whether values are missing where pictures are transparent
    Raises:
        TigonError: if it cannot be opened, or its first images cannot be read
    """
    form = Form(image_size, fit, channels, max_pixels=max_pixels, alpha=alpha)
    name = Name.of(data)
    examples = Examples(open_column(name, streaming=True), name.label, form)
    pixels, names, labels, notes = examples.first()
    pixels, masks = parted(pixels, alpha)
    return ImageStream(
        pixels,
        names,
        [],
        labels=labels,
        classes=examples.column.classes,
        notes=notes,
        masks=masks,
        examples=examples,
    )


def refuse_stream(
    data: str, persistent: bool, mirror: bool, frames: Frames, mask: str | None = None
) -> None:
    """Refuse options that do not work with a stream.

    Arguments:
        persistent: whether a chain is kept for each image
        mirror: whether mirrored copies should follow the images
        frames: read the `first` or `all` pages or frames of a file
        mask: which values were observed, if not all
    Raises:
        TigonError: if an option does not work, or the data cannot be streamed
    """
    require_choice("frames", frames, Frames)
    if persistent:
        raise TigonError(
            "--stream: a generator keeps a latent for each image, and a stream has no index to "
            "match images with their latents; leave out --stream, or learn a descriptor, "
            "whose chains do not persist"
        )
    if not data.startswith(PREFIX):
        raise TigonError(f"--stream: only hf: data can be read as a stream, not {data!r}")
    if mask not in (None, ALPHA):
        raise TigonError(
            f"--stream with --mask {printable(str(mask))}: images of a stream have no names that "
            "masks could go by; make what is missing transparent, and give --mask alpha"
        )
    if mirror:
        raise TigonError(
            "--stream with --mirror: mirrored copies come after the images of a set, and a stream "
            "has no known end; leave out one of the two"
        )
    if frames == "all":
        raise TigonError(
            "--stream with --frames all: an example of a stream is one image; leave out one of "
            "the two"
        )
