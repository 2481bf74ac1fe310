"""Load a model from its run or from its model folder."""

import os
from pathlib import Path

from tigon.errors import TigonError
from tigon.models.base import Model
from tigon.models.folder import CONFIG, is_model_folder, read_config
from tigon.recipes import recipe_type
from tigon.runs.run import Run


def load(folder: str | os.PathLike[str], checkpoint: str = "last") -> Model:
    """Return the model of a run folder or of a model folder, ready to sample.

    Arguments:
        checkpoint: for a run: last, best, or an iteration; a model folder has only one
    Raises:
        TigonError: if it is neither, or damaged; it says which file and why
    """
    path = Path(folder)
    if not is_model_folder(path):
        return Run(path, checkpoint).model()
    if checkpoint != "last":
        raise TigonError(f"--checkpoint {checkpoint}: {path} is a model folder; it has only one")
    return _type_of(path).from_pretrained(path)


def _type_of(folder: Path) -> type[Model]:
    """Return the class of the model in a model folder, according to its recipe if it has one."""
    config = read_config(folder)
    try:
        if config.recipe is not None:
            return recipe_type(config.recipe[:80]).model_type
    except TigonError as error:
        raise TigonError(f"{folder / CONFIG}: {error}") from error
    return Model
