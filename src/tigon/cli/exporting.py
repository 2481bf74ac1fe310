"""tigon export: write a model outside its run, to keep and share."""

from dataclasses import dataclass
from pathlib import Path

from tigon.cli.common import Json, ModelFolder, Result, Which
from tigon.cli.progress import busy
from tigon.errors import TigonError
from tigon.export.card import UNKNOWN, Licence, facts_of, make_card
from tigon.export.load import load
from tigon.export.onnx import onnx_bytes, require_onnx
from tigon.files import check_folder, in_shell, parents_made, replace_file
from tigon.models.base import Model
from tigon.models.folder import is_model_folder
from tigon.outputs import check_out
from tigon.runs.run import Run


@dataclass(frozen=True)
class Export:
    """Write a run's model as a folder to share, with its model card, or a generator as ONNX.

    Arguments:
        model_folder: the run folder; with --onnx alone, it may be a model folder
        out: a new folder: config.json, model.safetensors, README.md, samples.png
        onnx: a .onnx file: a generator's decoder, z (B, d) to images (B, C, H, W); --out is then
            optional
        license: license of the weights for the card, such as cc0-1.0 or apache-2.0
        data_license: license of the training images, for the card
        data_description: what the training images are and where they come from, for the card
        checkpoint: the checkpoint to export: last, best, or an iteration
        json: print one JSON object instead of text
    """

    model_folder: ModelFolder
    out: Path | None = None
    onnx: Path | None = None
    license: str = UNKNOWN
    data_license: str = UNKNOWN
    data_description: str = UNKNOWN
    checkpoint: Which = "last"
    json: Json = False

    def run(self) -> Result:
        """Check the whole request, then write it."""
        self._check()
        model = load(self.model_folder, self.checkpoint)
        if self.onnx:
            require_onnx(model)
        if self.out:
            self._write_folder(self.out, model)
        if self.onnx:
            with busy("exporting to ONNX"), parents_made(self.onnx):
                replace_file(self.onnx, onnx_bytes(model))
        said = {"model folder": self.out, "ONNX": self.onnx}
        lines = [f"{what}: {path}" for what, path in said.items() if path]
        values = {"out": self.out and str(self.out), "onnx": self.onnx and str(self.onnx)}
        return Result("\n".join(lines), values)

    def _check(self) -> None:
        if not self.out and not self.onnx:
            raise TigonError("export: give --out for a model folder, --onnx for a file, or both")
        terms = (self.license, self.data_license, self.data_description)
        if not self.out and any(term != UNKNOWN for term in terms):
            raise TigonError("--license, --data-license and --data-description go with --out")
        if self.out and is_model_folder(self.model_folder):
            raise TigonError(f"{self.model_folder}: is already a model folder; copy it")
        if self.out:
            self._check_folder(self.out)
        if self.onnx:
            check_out(self.onnx, (self.model_folder,), (".onnx",), "--onnx")

    def _check_folder(self, folder: Path) -> None:
        try:
            check_folder(folder)
        except TigonError as error:
            if not (self.onnx and is_model_folder(folder)):
                raise
            raise TigonError(
                f"{error}; for the ONNX file alone leave out --out: "
                f"tigon export {in_shell(self.model_folder)} --onnx {in_shell(self.onnx)}"
            ) from error

    def _write_folder(self, folder: Path, model: Model) -> None:
        terms = Licence(self.license, self.data_license, self.data_description)
        model.card = make_card(model, facts_of(Run(self.model_folder, self.checkpoint), terms))
        model.save_pretrained(folder)
