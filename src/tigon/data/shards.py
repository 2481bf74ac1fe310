"""Shards: a data set in several files or folders, each read by the process that owns it.

A pattern such as `/data/part-*.npz` names them. Every process reports those it sees, as disks may
differ between machines; together, in order of name, they are the data set.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import chunks, colours_of, mean_of, sums_of
from tigon.data.cache import Entry, cached, known_fingerprint, pixels_fingerprint
from tigon.data.folders import FileSource, open_pattern, what_else
from tigon.data.form import Form
from tigon.data.images import ImageSet
from tigon.data.lazy_rows import layered
from tigon.data.notes import Note, said
from tigon.data.shard_rows import Shard, ShardedNames, ShardedRows, ownership
from tigon.data.source import Source
from tigon.data.sources import open_source
from tigon.distributed import ShardOwnership, all_objects, first_process_first, world
from tigon.errors import TigonError
from tigon.files import allow_open_files, name_order, printable
from tigon.sizes import sides


@dataclass(frozen=True)
class ShardedSet(ImageSet):
    """The images of all shards; each process can read the images it owns.

    Arguments:
        shards: all shards, in the order of their rows
    """

    shards: tuple[Shard, ...] = field(kw_only=True)

    @property
    def ownership(self) -> ShardOwnership:
        """Which process owns which images and their chains."""
        return ownership(self.shards)

    def fingerprint(self) -> str:
        """Return a hash of all shards' names and fingerprints; the same in all processes."""
        known = [[os.path.basename(s.path), s.images, s.fingerprint] for s in self.shards]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]

    def content(self) -> str:
        """Return a hash of all shards' images, whatever the names of images and shards."""
        known = [[shard.images, shard.content] for shard in self.shards]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]

    def mean_colours(self, count: int | None = None) -> Tensor:
        """Return the mean colour of each of the first `count` images, (N, C), in [-1, 1]."""
        return shared_colours(self, count)

    def mean_image(self) -> Tensor:
        """Return the mean of all images, or of 4096 of them, (C, H, W), in [-1, 1]."""
        return shared_mean(self)


def shared_colours(images: ImageSet, count: int | None = None) -> Tensor:
    """Return the mean colour of each of the first `count` images, (N, C), read by their owners."""
    rows = torch.arange(min(len(images), len(images) if count is None else count))
    own = images.ownership.owned(rows)
    parts = [colours_of(images.batch(part)) for part in own.split(1024)]
    found = torch.empty(len(rows), images.channels)
    for index, colours in all_objects((own, torch.cat(parts))):
        found[index] = colours
    return found


def shared_mean(images: ImageSet) -> Tensor:
    """Return the mean of all images, or of 4096 of them, (C, H, W), read by their owners."""
    rows = images.mean_rows()
    own = images.ownership.owned(torch.tensor(rows)).tolist()
    shape = images.channels, *sides(images.image_size)
    sums = sums_of((images.batch(part) for part in chunks(own)), shape)
    return mean_of(torch.stack(all_objects(sums)).sum(0))


FILES = 3  # that a shard keeps open: its images, a map of them, and its names


def load_pattern(pattern: str, form: Form) -> ImageSet:
    """Load whatever matches a pattern: pictures like those of a folder, anything else as shards.

    Raises:
        TigonError: in all processes, if nothing matches, or a match cannot be read
    """
    sources: dict[str, Source] = {}

    def look() -> tuple[dict[str, int], FileSource]:
        pictures, shards = open_pattern(pattern)
        sources.update((path, open_source(path)) for path in shards)
        if len(pictures):
            sources[os.path.abspath(pattern)] = pictures
        return {path: len(source) for path, source in sources.items()}, pictures

    looked = _together(look)
    seen, (_, first) = [sizes for sizes, _ in looked], looked[0]
    if not any(seen):
        why = what_else(first) or "; give another pattern"
        raise TigonError(f"data '{printable(pattern)}': nothing matches{why}")
    if {path for part in seen for path in part} == {os.path.abspath(pattern)}:
        if not all(seen):
            raise TigonError(
                f"data '{printable(pattern)}': process {seen.index({})} sees none of the pictures "
                "that others see; put them where all do"
            )
        with first_process_first():
            return image_set(cached(sources[os.path.abspath(pattern)], form), form.alpha)
    allow_open_files(FILES * sum(map(len, seen)))
    notes = () if len(first) else first.notes  # otherwise they belong to a shard
    return _load_shards(assign(pattern, seen), sources, form, notes)


def image_set(entry: Entry, alpha: bool = False) -> ImageSet:
    """Return the images of a cache entry; with alpha, its last channel are their masks."""
    told = entry._replace(notes=said(entry.notes))  # type: ignore[arg-type]
    if alpha:
        pixels, masks = layered(entry.pixels, alpha)
        told = told._replace(pixels=pixels, known=None, file=None)  # type: ignore[arg-type]
        return ImageSet(*told, masks=masks)  # type: ignore[arg-type]
    return ImageSet(*told)  # type: ignore[arg-type]


def _load_shards(
    owners: dict[str, int], sources: dict[str, Source], form: Form, notes: Sequence[Note]
) -> ShardedSet:
    """Load the shards that this process owns, together with all other processes."""
    mine = [path for path, owner in owners.items() if owner == world().rank]
    entries: dict[str, Entry] = {}

    def load() -> list[tuple[str, Told]]:
        for path in mine:
            entries[path] = cached(sources[path], form)
            entries[path].file.close()  # a shard's batches are read from the map
        return [(path, _told(entry)) for path, entry in entries.items()]

    told = {path: found for part in _together(load) for path, found in part}
    shards = tuple(Shard(p, owner, *told[p][:4]) for p, owner in owners.items())
    rows = ShardedRows(shards, {path: e.pixels for path, e in entries.items()}, form.shape)
    pixels, masks = layered(rows, form.alpha)
    labels, classes = _labels(shards, entries)
    return ShardedSet(
        pixels,
        ShardedNames(shards, entries),
        [line for path in owners for line in told[path].skipped],
        labels=labels,  # type: ignore[arg-type]
        classes=classes,
        notes=said([*notes, *(note for path in owners for note in told[path].notes)]),
        masks=masks,
        shards=shards,
    )


class Told(NamedTuple):
    """What a shard's owner tells all other processes about it; see `Shard`."""

    images: int
    fingerprint: str
    classes: tuple[str, ...] | None
    content: str
    skipped: list[str]
    notes: list[Note]


def _told(entry: Entry) -> Told:
    return Told(
        len(entry.pixels),
        known_fingerprint(entry.known, entry.names, entry.pixels),
        None if entry.labels is None else entry.classes,
        pixels_fingerprint(entry.pixels),
        entry.skipped,
        list(entry.notes),
    )


def _labels(
    shards: Sequence[Shard], entries: dict[str, Entry]
) -> tuple["ShardedRows | None", tuple[str, ...]]:
    """Return the labels of all shards and their classes, if all have labels of one kind."""
    if any(shard.classes is None for shard in shards):
        return None, ()
    named = [bool(shard.classes) for shard in shards]
    if any(named) and not all(named):
        return None, ()  # numbers and names are not the same classes
    classes = tuple(
        sorted({name for shard in shards for name in shard.classes or ()}, key=name_order)
    )
    own = {path: np.asarray(entry.labels) for path, entry in entries.items()}
    if classes:
        numbers = {path: np.array(list(map(classes.index, entries[path].classes))) for path in own}
        own = {path: numbers[path][labels] for path, labels in own.items()}
    return ShardedRows(shards, own, (), np.int64), classes


def assign(pattern: str, seen: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return the owner of each shard, in order of the shards' names.

    Starting with the largest, each shard goes to the process that sees it and has the fewest
    images so far.

    Arguments:
        seen: for each process, the shards that it sees and their numbers of pictures
    Raises:
        TigonError: if there are no shards, or a process would have none
    """
    sizes = {path: size for part in seen for path, size in part.items()}
    if not sizes:
        raise TigonError(f"data '{printable(pattern)}': nothing matches; give another pattern")
    load, owners = [0] * len(seen), {}
    for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
        able = [process for process, part in enumerate(seen) if path in part]
        owner = min(able, key=lambda process: (load[process], process))
        owners[path] = owner
        load[owner] += sizes[path]
    idle = [process for process in range(len(seen)) if process not in owners.values()]
    if idle:
        raise TigonError(
            f"data '{printable(pattern)}': {len(owners)} shards for {len(seen)} processes leave "
            f"process {idle[0]} without one that it sees; start fewer, or divide the data further"
        )
    return {path: owners[path] for path in sorted(owners, key=name_order)}


def _together(work: Any) -> list[Any]:  # noqa: ANN401
    """Return the result of `work` in each process; if it fails in one, it fails in all."""
    done: tuple[Any, str | None]
    try:
        done = work(), None
    except TigonError as error:
        done = None, str(error)
    told = all_objects(done)
    failed = [error for _, error in told if error is not None]
    if failed:
        raise TigonError(failed[0])
    return [found for found, _ in told]
