"""Models that are shared: saved, loaded and pushed by huggingface_hub's mixin."""

import os
from pathlib import Path
from typing import Any

from tigon.errors import TigonError, install
from tigon.export.card import Licence, facts_of, make_card
from tigon.export.folders import FILES, read_model_folder, write_model_folder
from tigon.export.models import (
    LearnedDescriptor,
    LearnedGenerator,
    LearnedModel,
    model_of,
)
from tigon.runs.run import Run

try:
    from huggingface_hub import ModelHubMixin, snapshot_download
    from huggingface_hub.errors import HFValidationError
except ImportError as error:
    raise TigonError(
        f"tigon.PretrainedModel needs huggingface_hub: {install('hub')} ({error})"
    ) from error


class PretrainedModel(ModelHubMixin):
    """A learned model that can be saved, loaded and pushed to the hub.

    It comes from `from_run` or `from_pretrained`, as a `PretrainedGenerator` or a
    `PretrainedDescriptor`; `push_to_hub` is the mixin's own, and needs a token of the hub.
    """

    _hub_mixin_config = {}  # not None: config.json is not the mixin's to write

    @classmethod
    def from_run(
        cls, folder: str | os.PathLike[str], terms: Licence | None = None
    ) -> "PretrainedGenerator | PretrainedDescriptor":
        """Return the model of a run's newest checkpoint, with its card.

        Arguments:
            terms: licences and what the data are, for the card; not stated if not given
        Raises:
            TigonError: if the run has no model, or another kind than this class
        """
        run = Run(Path(folder))
        model = model_of(run)
        model.card = make_card(model, facts_of(run, terms or Licence()))
        return cls._shared(model, str(folder))

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> "PretrainedGenerator | PretrainedDescriptor":
        """Return the model of a model folder, or of a repository of the hub.

        Arguments:
            pretrained_model_name_or_path: a folder, or OWNER/NAME on the hub
            force_download, token, cache_dir, local_files_only, revision: of the download, as
                `huggingface_hub.snapshot_download` takes them
        Raises:
            TigonError: if there is none, or it is damaged, or another kind than this class
        """
        name = str(pretrained_model_name_or_path)
        folder = Path(name)
        if folder.exists() and not folder.is_dir():
            raise TigonError(f"model {name}: is a file; give the folder that it lies in")
        if not folder.exists():
            try:
                folder = Path(
                    snapshot_download(
                        name,
                        allow_patterns=list(FILES),
                        force_download=force_download,
                        token=token,
                        cache_dir=cache_dir,
                        local_files_only=local_files_only,
                        revision=revision,
                    )
                )
            except (OSError, HFValidationError) as error:
                raise TigonError(
                    f"model {name}: no such folder, nor to be had from the hub "
                    f"({' '.join(str(error).split())[:300]})"
                ) from error
        return cls._shared(read_model_folder(folder), name)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: Any = None,  # noqa: ANN401
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,  # noqa: ANN401
    ) -> str | None:
        """Write a model folder, whole or not at all.

        Arguments:
            save_directory: a new folder, or an empty one
            config, model_card_kwargs: of the mixin; a model's config and card are its own
            push_to_hub: push it as well, as `repo_id`, or by the folder's name
            push_to_hub_kwargs: arguments of `push_to_hub`
        Returns:
            the address of the commit on the hub, if pushed
        Raises:
            TigonError: if the folder holds something, or the disk refuses
        """
        if config is not None or model_card_kwargs:
            raise TigonError("a model's config.json and README.md are its own; edit the files")
        assert isinstance(self, LearnedModel)
        write_model_folder(Path(save_directory), self)
        if not push_to_hub:
            return None
        return self.push_to_hub(repo_id or Path(save_directory).name, **push_to_hub_kwargs)

    @classmethod
    def _shared(
        cls, model: LearnedModel, name: str
    ) -> "PretrainedGenerator | PretrainedDescriptor":
        shared: PretrainedGenerator | PretrainedDescriptor
        if isinstance(model, LearnedGenerator):
            shared = PretrainedGenerator(*model.parts())
        else:
            assert isinstance(model, LearnedDescriptor)
            shared = PretrainedDescriptor(*model.parts())
        if not isinstance(shared, cls):
            raise TigonError(f"model {name}: is a {model.kind}, and no {cls.__name__}")
        return shared


class PretrainedGenerator(LearnedGenerator, PretrainedModel):
    """A learned generator that can be shared: `sample`, `decode`, `infer`."""


class PretrainedDescriptor(LearnedDescriptor, PretrainedModel):
    """A learned descriptor that can be shared: `sample`, `log_density`."""
