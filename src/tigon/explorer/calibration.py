"""The scores of a run's held-out images, which the score of a picture is held against."""

from collections.abc import Iterator

import torch

from tigon.data.batches import even_rows
from tigon.data.images import ImageSet
from tigon.errors import TigonError
from tigon.inference.score import FEWEST, HOW, Scored, joined, scoring
from tigon.models.base import Model
from tigon.random.streams import RowRng

MOST = 100  # images, as in `tigon score`
TOGETHER = 4  # images whose chains run together


class Calibration:
    """Scores of held-out images, computed a step at a time, and then kept.

    They equal those of `tigon score` up to rounding, with seed 0.

    Arguments:
        model: the model that scores
        images: the images that it learned from, with those that were held out
        note: why they cannot be read, if they cannot

    Attributes:
        why: why there are no percentiles, in one line; empty if there are
        done: number of images scored so far
        scored: scores and maps of all of them; None until then
    """

    def __init__(self, model: Model, images: ImageSet | None, note: str) -> None:
        self.done = 0
        self.scored: Scored | None = None
        self.why = _why_none(images, note)
        self.rows = torch.zeros(0, dtype=torch.int64)
        if not self.why and images is not None and images.held_out is not None:
            self.rows = even_rows(len(images.held_out), MOST)
            self._steps = self._scoring(model, images.held_out)

    @property
    def count(self) -> int:
        """How many images there are to score."""
        return len(self.rows)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to compute."""
        return bool(self.why) or self.scored is not None

    def advance(self) -> None:
        """Take the next step; if it fails, that is why there are no percentiles."""
        try:
            next(self._steps, None)
        except TigonError as error:
            self.why = f"no percentile: {error}"

    def _scoring(self, model: Model, images: ImageSet) -> Iterator[None]:
        """Score a few images at a time, and yield after each step."""
        parts: list[Scored] = []
        for some in self.rows.split(TOGETHER):
            index = range(self.done * HOW.starts, (self.done + len(some)) * HOW.starts)
            rng = RowRng(0, 0, index, "calibration")
            for seen in scoring(model, images.read(some).to(model.device), rng, HOW):
                if seen.found is not None:
                    parts.append(seen.found)
                    self.done += len(some)
                yield
        self.scored = joined(parts)


def _why_none(images: ImageSet | None, note: str) -> str:
    """Say why there are no percentiles; empty if there can be."""
    if images is None:
        return f"no percentile: the run's images cannot be read: {note}"
    count = 0 if images.held_out is None else len(images.held_out)
    if count < FEWEST:
        return (
            f"no percentile: that needs {FEWEST} or more images that the run held out, and there "
            f"are {count}"
        )
    if images.incomplete:
        return "no percentile: values of the run's images are missing"
    return ""
