"""The base of all models: a module that samples, and that can be saved, loaded and shared.

A model folder contains a model on its own: settings, weights and card; see `tigon.models.folder`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tigon.data.pixels import Fit
from tigon.errors import TigonError, install
from tigon.models.config import class_named
from tigon.models.folder import (
    CONFIG,
    FILES,
    Card,
    Config,
    load_weights,
    read_card,
    read_config,
    write_model_folder,
)
from tigon.random.streams import Rng, rows


class Model(nn.Module, ABC):
    """A model that draws images; see `tigon.models.abilities` for what else it may do.

    Attributes:
        CONFIGURED: state that is in config.json rather than model.safetensors, by name, with its
            value if the config has none; a part that is a module may list its own
        UNAVERAGED: state that a running average of weights copies unchanged; likewise
        recipe: name of the recipe that it was trained with, if any
        fit: how pictures become its images: stretched to their size, or their centre cropped
        card: its model card, if it has one
    """

    CONFIGURED: ClassVar[Mapping[str, float]] = {}
    UNAVERAGED: ClassVar[tuple[str, ...]] = ()
    recipe: str | None = None
    fit: Fit = "stretch"
    card: Card | None = None

    @abstractmethod
    def sample(self, count: int, rng: Rng) -> Tensor:
        """Draw images from the model, (count, C, H, W), about [-1, 1]."""

    def sample_rows(self, rows: range, rng: Rng) -> Tensor:
        """Draw these of the images that `sample` draws, where there are too many for memory.

            for first in range(0, 10**6, 64):
                rows = range(first, first + 64)
                images = model.sample_rows(rows, tigon.RowRng(0, 0, rows))

        Arguments:
            rows: their numbers
            rng: their streams; one generator for all draws other images than `sample` does
        """
        return self.sample(len(rows), rng)

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's images."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the model's settings as plain values: the arguments that `from_config` takes.

        Raises:
            TigonError: if a part of it has no config; it says which, and what to do
        """

    @classmethod
    @abstractmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a model with these settings, with untrained weights.

        Raises:
            ValueError: if a name or a value is wrong; it says which
        """

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that sampling needs, by their names in model.safetensors."""
        configured = self.declared("CONFIGURED")
        return {n: v for n, v in self.state_dict().items() if n not in configured}

    def declared(self, attribute: str) -> dict[str, Any]:
        """Return the state that this model and its parts list in a class attribute.

        Returns:
            the class that lists it, by its whole dotted name
        """
        return {
            f"{place}.{name}" if place else name: type(part)
            for place, part in self.named_modules()
            for name in getattr(type(part), attribute, ())
        }

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write a model folder atomically.

        Arguments:
            folder: a new or an empty folder
        Raises:
            TigonError: if it is not empty, it cannot be written, or a part of the model has no
                config; it says which
        """
        numbers = self.config()
        try:
            header = Config(self.recipe, self.fit, {"class": type(self).__name__} | numbers)
            header.check()
        except ValueError as error:
            raise TigonError(f"the model cannot be saved: {error}") from error
        write_model_folder(Path(folder), header, self.tensors(), self.card)

    def push_to_hub(
        self,
        name: str,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Push a tigon model",
    ) -> str:
        """Upload the model folder to a repository on the Hugging Face Hub.

        Arguments:
            name: OWNER/NAME; it is created if it does not exist
            private: whether a new repository is private
            token: access token for the Hub; that of `hf auth login` if not given
        Returns:
            the address of the commit
        Raises:
            TigonError: if the model cannot be saved, or huggingface_hub is not installed
        """
        hub = _hub()
        with TemporaryDirectory() as work:
            folder = Path(work) / "model"
            self.save_pretrained(folder)
            api = hub.HfApi(token=token)
            name = api.create_repo(name, private=private, exist_ok=True).repo_id
            return str(
                api.upload_folder(
                    repo_id=name,
                    folder_path=folder,
                    repo_type="model",
                    commit_message=commit_message,
                )
            )

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Self:
        """Load the model from a model folder, or from a repository on the Hugging Face Hub.

        Arguments:
            name: a folder, or OWNER/NAME on the Hub
            revision, token, cache_dir, force_download, local_files_only: options of the download;
                see `huggingface_hub.snapshot_download`
        Raises:
            TigonError: if there is none, it is damaged, or it is of another class
        """
        folder = Path(name)
        if folder.exists() and not folder.is_dir():
            raise TigonError(f"model {name}: is a file; give the folder that contains it")
        if not folder.exists():
            hub = _hub()
            try:
                found = hub.snapshot_download(
                    os.fspath(name),
                    allow_patterns=list(FILES),
                    revision=revision,
                    token=token,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                )
            except (OSError, hub.errors.HFValidationError) as error:
                raise TigonError(
                    f"model {name}: no such folder, and it cannot be downloaded from the Hub "
                    f"({' '.join(str(error).split())[:300]})"
                ) from error
            folder = Path(found)
        return cls._read(folder)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        """Return the model in a model folder."""
        config, path = read_config(folder), folder / CONFIG
        numbers = {name: value for name, value in config.model.items() if name != "class"}
        try:
            kind = cls._class_of(config)
            with torch.device("meta"):  # no file can request more memory than it has bytes
                model = kind.from_config(numbers)
            given = {
                name: float(numbers.get(name, part.CONFIGURED[name.rpartition(".")[2]]))
                for name, part in model.declared("CONFIGURED").items()
            }
        except (ValueError, RecursionError) as error:
            raise TigonError(f"{path}: {' '.join(str(error).split())[:300]}") from error
        load_weights(folder, model, given)
        model.recipe, model.fit, model.card = config.recipe, config.fit, read_card(folder)
        return model.eval()

    @classmethod
    def _class_of(cls, config: Config) -> type[Self]:
        """Return this class, or the class that a config names if this one is abstract.

        Raises:
            ValueError: if the config is that of another class
        """
        name = config.model.get("class")
        if name == cls.__name__:
            return cls
        kind = class_named(config.model)
        if not issubclass(kind, cls):
            raise ValueError(f"is a {name}, not a {cls.__name__}")
        return kind


def drawn_in_parts(
    count: int, rng: Rng, chunk: int, draw: Callable[[range, Rng], Tensor]
) -> Tensor:
    """Return `count` images, `chunk` at a time: those that `draw` returns for rows and streams."""
    parts = [range(first, min(first + chunk, count)) for first in range(0, count, chunk)]
    return torch.cat([draw(part, rows(rng, slice(part.start, part.stop))) for part in parts])


def _hub() -> Any:  # noqa: ANN401
    """Return huggingface_hub, which is only needed for sharing."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        said = f"the Hub needs huggingface_hub: {install('hub')} ({error})"
        raise TigonError(said) from error
    return huggingface_hub
