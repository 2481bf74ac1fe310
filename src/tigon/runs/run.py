"""A run folder: what is in it, and how to load its model.

config.toml       the whole experiment, resolved
held-out.txt      names of the held-out images
environment.json  hardware, versions, times, peak memory
metrics.jsonl     one JSON object per logged iteration
checkpoints/N/    weights, training state, chain rows
snapshots/N.npz   the chains' images after iteration N
evaluation.json   what `evaluate` measured last
figures/*.png, report.html
"""

import json
import os
import tomllib
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import Tensor

from tigon.data.batches import ImageData
from tigon.data.datasets import as_data
from tigon.data.images import ImageSet
from tigon.data.masks import ALPHA
from tigon.data.sources import resolved
from tigon.errors import TigonError
from tigon.files import open_regular, printable, replace_file
from tigon.learners.base import Learner, Record
from tigon.learners.metrics import optional_names
from tigon.models.base import Model
from tigon.recipes import Recipe, recipe_type
from tigon.recipes.base import UNDECIDED, Choice
from tigon.recipes.settings import with_value
from tigon.runs.config import from_plain, to_plain
from tigon.runs.images import MOVED, describe_images, perhaps_moved, same_images
from tigon.training.callbacks.metrics import read_events, read_metrics
from tigon.training.callbacks.snapshots import read_snapshots
from tigon.training.checkpoint import load_checkpoint, load_learner, load_model
from tigon.training.checkpoint_folder import find_checkpoint, numbered
from tigon.training.trainer import Trainer


@dataclass(frozen=True)
class Experiment:
    """A recipe and the data it learns from: enough to run it again.

    Arguments:
        name: the recipe's name
        recipe: the recipe with its numbers
        data: a folder, a `.npz`, a picture, hf:NAME or embedded:animal-faces
        mask: which values of the images were observed: a picture, a folder, or alpha; all, if not
            given
        why: numbers that were chosen from the images, by name, and why
        origin: the run folder where it begins, if it does not begin anew
    """

    name: str
    recipe: Recipe
    data: str
    why: dict[str, Choice] = field(default_factory=dict, compare=False)
    origin: str | None = None
    mask: str | None = None

    def begun(self, run: "Run | None" = None) -> "Experiment":
        """Return the experiment with the numbers of the run that it begins from, if it does.

        Arguments:
            run: its own, which has these numbers if it has begun there before
        Raises:
            TigonError: if there is no such run, or it cannot begin there
        """
        if self.origin is None:
            return self
        source = Run(self.origin)
        if run is not None and run.config.exists():
            before = run.experiment
            if (before.name, before.origin) == (self.name, str(source.folder.resolve())):
                source = run
        try:
            return replace(self, recipe=self.recipe.begun_from(source.experiment.recipe))
        except ValueError as error:
            raise TigonError(f"--from {self.origin}: {error}") from error

    def resolved(self, images: ImageData) -> "Experiment":
        """Return the experiment with its missing numbers chosen from these images."""
        made = self.recipe.choices(images)
        why = {name: choice for name, choice in made.items() if choice.why}
        return replace(self, recipe=self.recipe.with_choices(made), why=self.why | why)

    def to_plain(self) -> dict[str, Any]:
        """Return the experiment in the form of config.toml."""
        head = {"recipe": self.name, "data": resolved(self.data)}
        if self.origin is not None:
            head["from"] = str(Path(self.origin).resolve())
        if self.mask is not None:
            head["mask"] = self.mask if self.mask == ALPHA else resolved(self.mask)
        return head | to_plain(self.recipe)

    @staticmethod
    def from_plain(values: dict[str, Any]) -> "Experiment":
        """Return the experiment described by a config.toml.

        Raises:
            ValueError, TigonError: if a name or a value is wrong
        """
        values = dict(values)
        head = {name: values.pop(name, None) for name in ("recipe", "data", "from", "mask")}
        if not isinstance(head["recipe"], str) or not isinstance(head["data"], str):
            raise ValueError("recipe and data are both needed, as text")
        if not isinstance(head["from"], str | None):
            raise ValueError("from is a run folder, as text")
        if not isinstance(head["mask"], str | None):
            raise ValueError("mask is a picture or a folder, or alpha, as text")
        recipe, kept = from_plain(recipe_type(head["recipe"]), values), head["mask"]
        return Experiment(head["recipe"], recipe, head["data"], origin=head["from"], mask=kept)

    def load(self) -> ImageSet:
        """Return the images to learn from.

        Raises:
            TigonError: if they, or their masks, cannot be read
        """
        if self.mask is None:  # a recipe from elsewhere may know no masks
            return self.recipe.load(self.data)
        return self.recipe.load(self.data, self.mask)


@dataclass(frozen=True, init=False)
class Run:
    """A run folder.

    Arguments:
        folder: the folder given as `tigon train --out`
        checkpoint: where its model comes from: last, best, or an iteration
        data: where its images are now, if not where config.toml says

    Example:
        run = tigon.Run("runs/faces")
        model, images, records = run.model(), run.images(), run.records()
    """

    folder: Path
    checkpoint: str
    data: str | None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        checkpoint: str | int = "last",
        data: str | os.PathLike[str] | None = None,
    ) -> None:
        object.__setattr__(self, "folder", Path(folder))
        object.__setattr__(self, "checkpoint", str(checkpoint))
        object.__setattr__(self, "data", None if data is None else str(data))

    @property
    def name(self) -> str:
        """The folder's name, and the checkpoint unless it is the last."""
        name = self.folder.resolve().name
        return name if self.checkpoint == "last" else f"{name}, checkpoint {self.checkpoint}"

    @property
    def config(self) -> Path:
        """Path of config.toml."""
        return self.folder / "config.toml"

    @property
    def checkpoints(self) -> Path:
        """Path of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> Path:
        """Path of metrics.jsonl."""
        return self.folder / "metrics.jsonl"

    @property
    def held_out(self) -> Path:
        """RUN/held-out.txt."""
        return self.folder / "held-out.txt"

    @property
    def evaluation(self) -> Path:
        """RUN/evaluation.json."""
        return self.folder / "evaluation.json"

    def write_config(self, experiment: Experiment) -> None:
        """Write config.toml, completely or not at all."""
        said = [f"# {name} {c}, chosen: {c.why}\n" for name, c in experiment.why.items()]
        recipe, data, rest = tomli_w.dumps(experiment.to_plain()).split("\n", 2)
        # The first two lines stay the first: `data.walk` recognises run folders by them.
        replace_file(self.config, "\n".join([recipe, data, "".join(said) + rest]))

    def as_begun(self, experiment: Experiment) -> Experiment:
        """Return an experiment with the numbers that were chosen when this run began.

        Arguments:
            experiment: those of these numbers that it lacks are taken from the run, if it exists
        """
        if not self.config.exists() or self.experiment.name != experiment.name:
            return experiment
        recipe, before = experiment.recipe, self.experiment.recipe
        for name in recipe.chosen:
            number = attrgetter(name)
            if number(recipe) in UNDECIDED:
                recipe = with_value(recipe, name, number(before))
        return replace(experiment, recipe=recipe)

    def plain_config(self) -> dict[str, Any]:
        """Return the content of config.toml.

        Raises:
            TigonError: if the folder is not a run, or its config cannot be read
        """
        if not self.folder.is_dir():
            raise TigonError(f"run {self.folder}: no such folder")
        if not self.config.exists() and (self.folder / "config.json").is_file():
            raise TigonError(
                f"run {self.folder}: is a model folder, which has no history; this needs the run "
                "that it was exported from"
            )
        if not self.config.exists() or self.config.is_dir():
            raise TigonError(f"run {self.folder}: is not a run folder (it has no config.toml)")
        try:
            with open_regular(self.config) as file:
                return tomllib.loads(file.read().decode("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise TigonError(f"{self.config}: cannot be read ({error})") from error

    @cached_property
    def experiment(self) -> Experiment:
        """This run's experiment, with the images' current location."""
        try:
            found = Experiment.from_plain(self.plain_config())
        except ValueError as error:
            raise TigonError(f"{self.config}: {error}") from error
        return found if self.data is None else replace(found, data=self.data)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What environment.json says about hardware, versions and times."""
        try:
            with open_regular(self.folder / "environment.json") as file:
                found = json.loads(file.read().decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def records(self) -> list[Record]:
        """Return the records of metrics.jsonl."""
        return read_metrics(self.metrics, self._optional)

    def records_until(self) -> list[Record]:
        """Return the records until the run's `checkpoint`, which its model is of.

        Raises:
            TigonError: if there is no such checkpoint
        """
        done = int(self.find().name)
        return [record for record in self.records() if record["iteration"] <= done]

    def shown_records(self) -> list[Record]:
        """Return all records, or those until the `checkpoint` if another than the last is shown.

        Raises:
            TigonError: if there is no such checkpoint
        """
        return self.records() if self.checkpoint == "last" else self.records_until()

    def events(self) -> list[Record]:
        """Return the guard's events in metrics.jsonl."""
        return read_events(self.metrics, self._optional)

    @property
    def _optional(self) -> set[str]:
        """Names of the metrics that records may lack."""
        return optional_names(self.experiment.recipe.metrics)

    def learner(self, checkpoint: str | None = None) -> Learner:
        """Return the learner of a checkpoint, ready to sample.

        Arguments:
            checkpoint: last, best, or an iteration; by default this run's `checkpoint`
        Raises:
            TigonError: if there is no such checkpoint, or it is damaged
        """
        recipe = self.experiment.recipe
        return load_learner(self.find(checkpoint), recipe.restored)

    def trainer(
        self,
        device: torch.device | str = "cpu",
        images: ImageData | torch.utils.data.Dataset[Any] | Tensor | None = None,
        checkpoint: str | None = None,
    ) -> Trainer:
        """Return a trainer in the state of a checkpoint, made by the run's recipe.

        Its `fit` continues to the end of the run; it writes nothing to the folder.

        Arguments:
            images: the run's training images, in any form that `as_data` takes; by default they
                are read again
            checkpoint: last, best, or an iteration; by default this run's `checkpoint`
        Raises:
            TigonError: if there is no such checkpoint, or the images have changed
        """
        path, recipe = self.find(checkpoint), self.experiment.recipe
        if images is None:
            images = self.images()
        else:
            images = as_data(images)
            self.refuse_other_images(images)
            if images.held_out is None:  # they are those that were learned from
                recipe = replace(recipe, held_out=0.0)
        trainer = recipe.trainer(images, device)
        load_checkpoint(path, trainer)
        return trainer

    def model(self, checkpoint: str | None = None) -> Model:
        """Return the model of a checkpoint, ready to sample; chains are not read.

        Arguments:
            checkpoint: last, best, or an iteration; by default this run's `checkpoint`
        Raises:
            TigonError: if there is no such checkpoint, or it is damaged
        """
        recipe = self.experiment.recipe
        model = load_model(self.find(checkpoint), recipe.model)
        model.recipe = self.experiment.name
        return model

    def find(self, checkpoint: str | None = None) -> Path:
        """Return the folder of a checkpoint, given as in `learner`.

        Raises:
            TigonError: if there is no such checkpoint, or it is damaged
        """
        which = checkpoint or self.checkpoint
        if not numbered(self.checkpoints):
            raise TigonError(f"run {self.folder}: has no checkpoint yet; train it first")
        return find_checkpoint(self.checkpoints, which)

    def images(self, remedy: str = MOVED) -> ImageSet:
        """Return the images that the run learned from.

        Arguments:
            remedy: what an error says is to be done if they have moved
        Raises:
            TigonError: if they cannot be read, or have changed
        """
        data = self.experiment.data if self.data is None else None
        try:
            images = self.experiment.load()
        except TigonError as error:
            raise perhaps_moved(error, data, self.experiment.mask, remedy) from error
        self.refuse_other_images(images)
        return images

    def refuse_other_images(self, images: ImageData) -> None:
        """Refuse images other than those whose chains this run keeps, row by row.

        Their names and location do not matter, nor what is behind missing values; masks do.

        Raises:
            TigonError: if their number or any image differs
        """
        before = self.environment.get("images")
        now = describe_images(images)
        if before is None or same_images(before, now):
            return
        then = before.get("count", "others") if isinstance(before, dict) else "others"
        counts = f"({then} then, {now['count']} now)"
        if self.data is not None:
            raise TigonError(
                f"data '{printable(self.data)}': these are not the images that the run "
                f"{self.folder} learned from {counts}; give those, or start a new run"
            )
        raise TigonError(
            f"data '{self.experiment.data}': the images have changed since the run "
            f"{self.folder} began {counts}; restore them, or start a new run"
        )

    def moved_from(self) -> str | None:
        """Return where the images were, if `data` is another place and the run recorded them."""
        if self.data is None or self.environment.get("images") is None:
            return None
        before = str(self.plain_config().get("data"))
        return before if before != resolved(self.data) else None

    def snapshots(self) -> list[tuple[int, np.ndarray]]:
        """Return the snapshots until the run's `checkpoint`: iterations and images, uint8
        (N, H, W, C).

        Raises:
            TigonError: if one is damaged
        """
        taken = read_snapshots(self.folder / "snapshots")
        if self.checkpoint == "last":
            return taken
        done = int(self.find().name)
        return [(iteration, shown) for iteration, shown in taken if iteration <= done]
