"""The pictures of a run: the seed's six, and what the seed lacks."""

from collections.abc import Iterator
from typing import Any

from tigon import figures
from tigon.data.images import ImageSet
from tigon.families import family_of
from tigon.families.base import Picture, Shown
from tigon.learners.base import Learner
from tigon.runs.run import Run

__all__ = ["Picture", "album"]
FIRST = 12


def album(run: Run, learner: Learner, images: ImageSet) -> Iterator[Picture]:
    """Yield the pictures of a run, one by one: its snapshots, then what its family has."""
    shown = Shown(run, run.experiment.recipe, learner, images, run.records())
    yield _snapshots(shown)
    yield from family_of(shown.recipe).pictures(shown)


def _snapshots(shown: Shown[Any, Any]) -> Picture:
    """Return the training images, and below them what the run showed of them as it learned."""
    taken = shown.run.snapshots()
    count = len(taken[-1][1]) if taken else min(FIRST, len(shown.images))
    rows = [("training images", shown.images.pixels[:count])]
    rows += [(f"iteration {iteration}", pixels) for iteration, pixels in taken]
    stages = family_of(shown.recipe).stages
    seen = f"A row of {count} training images, and below it {len(taken)} rows of the model's"
    if taken:
        seen += f", after iteration {', '.join(str(iteration) for iteration, _ in taken)}"
    return Picture(stages.name, stages.title, stages.caption, figures.stages(rows), f"{seen}.")
