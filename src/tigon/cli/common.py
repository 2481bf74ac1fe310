"""What the verbs share: their result, their options' types, and how they open a model."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from torch import Tensor

from tigon.cli.paths import data_of, path_of
from tigon.cli.progress import counted, steps_shown, tell
from tigon.data.form import MAX_PIXELS, Frames
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.errors import TigonError
from tigon.export.load import load
from tigon.models.abilities import HasLatents
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart, Reconstruction
from tigon.random.streams import RowRng
from tigon.runs.experiment import choose_device
from tigon.runs.run import Run
from tigon.sizes import ImageSize, image_size, parse_size, size_text

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Json = Flag
Which = Annotated[str, tyro.conf.arg(name="checkpoint", metavar="last|best|N")]
RunFolder = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(name="run", metavar="RUN")]
RunFolders = Annotated[
    tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(name="run", metavar="RUN [RUN ...]")
]
ModelFolders = Annotated[
    tyro.conf.Positional[tuple[Path, ...]],
    tyro.conf.arg(name="model", metavar="RUN|MODEL [RUN|MODEL ...]"),
]
ModelFolder = Annotated[
    tyro.conf.Positional[Path], tyro.conf.arg(name="model", metavar="RUN|MODEL")
]


Data = Annotated[
    str,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="DATA",
        instance_from_str=lambda words: data_of(words[0]),
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
    ),
]
Held = Annotated[Data | None, tyro.conf.arg(name="data", metavar="DATA")]
MaskPlace = Annotated[str | None, tyro.conf.arg(name="mask", metavar="FOLDER|M.png|alpha")]
Moved = Annotated[Data | None, tyro.conf.arg(name="data", metavar="NEW")]


def registry() -> tyro.constructors.ConstructorRegistry:
    """Return how to read options that tyro would read differently: sizes like 48x64, and paths."""
    found = tyro.constructors.ConstructorRegistry()
    size = tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT|HxW",
        instance_from_str=lambda words: parse_size(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int | tuple),
        str_from_instance=lambda value: ["None" if value is None else size_text(value)],
    )
    path = tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: path_of(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    )
    found.primitive_rule(lambda info: size if info.type in (ImageSize, ImageSize | None) else None)
    found.primitive_rule(lambda info: path if info.type is Path else None)
    return found


class Result(NamedTuple):
    """What a verb returns: text for people, values for programs, and the exit status."""

    text: str
    values: dict[str, Any]
    status: int = 0


def tell_if_moved(run: Run) -> None:
    """Say where a run's images are and where they were, if --data says that they moved.

    Raises:
        TigonError: if the images there are different ones
    """
    if run.data is None:
        return
    run.images()
    if (before := run.moved_from()) is not None:
        tell(moved_line(run, before))


def moved_line(run: Run, before: str) -> str:
    """Say that a run's images are the ones it learned from, in a new place."""
    return f"data '{run.data}': the images that run {run.folder} learned from, then '{before}'"


def tell_of_data(images: ImageSet) -> None:
    """Say on stderr which files were left out, passed over or converted."""
    if images.skipped:
        shown = "; ".join(images.skipped[:5]) + ("; ..." if len(images.skipped) > 5 else "")
        files = "1 file" if len(images.skipped) == 1 else f"{len(images.skipped)} files"
        tell(f"left out {files}: {shown}")
    for line in images.notes:
        tell(line)


def images_for(
    model: Model,
    data: str | Path,
    frames: Frames = "first",
    max_pixels: int = MAX_PIXELS,
    shape: tuple[int, int, int] | None = None,
    mask: str | None = None,
) -> ImageSet:
    """Load images that a model has not seen, in the form that it expects.

    Arguments:
        shape: channels, height and width, if others than those of the model's images
        mask: which values were observed, as `load_images` takes it
    """
    channels, height, width = shape or model.image_shape
    size = image_size(height, width)
    form = size, model.fit, channels, False, frames, max_pixels
    images = load_images(data, *form, mask=mask)
    tell_of_data(images)
    return images


def load_with_latents(folder: Path, verb: str, device: str, checkpoint: str) -> Model:
    """Return the model of a run's checkpoint or a model folder, which must have latents.

    Raises:
        TigonError: if it has no latents
    """
    place = choose_device(device)
    model = load(folder, checkpoint)
    if not isinstance(model, HasLatents):
        raise TigonError(f"{folder}: this model has no latents, which {verb} needs")
    return model.to(place)


def infer(
    model: Model,
    images: Tensor,
    starts: int,
    seed: int,
    chunk: int = 4,
    mask: Tensor | None = None,
) -> Reconstruction:
    """Infer the latents of images (B, C, H, W), a few at a time.

    Arguments:
        mask: 1 where a value was observed and 0 elsewhere, (B, 1 or C, H, W); None if all were
    """
    assert isinstance(model, HasLatents)
    device = model.device
    parts = []
    many, chains = counted(len(images), "image"), counted(starts, "chain")
    tell(f"inferring latents: {many}, {chains} each")
    for first in steps_shown(range(0, len(images), chunk), "inferring latents"):
        part = images[first : first + chunk].to(device)
        index = range(first * starts, (first + len(part)) * starts)
        rng = RowRng(seed, 0, index, "reconstruct")
        known = None if mask is None else mask[first : first + chunk].to(device)
        parts.append(model.infer(part, rng, ColdStart(starts), known))
    return Reconstruction(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
