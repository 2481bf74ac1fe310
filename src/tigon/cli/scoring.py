"""tigon score: how unusual images are under a model."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from tigon.cli.calibrating import (
    complete_training_of,
    refuse_training_images,
    tell_of_shared,
)
from tigon.cli.common import Data, Flag, Json, ModelFolder, Result, Which, images_for
from tigon.cli.progress import counted, steps_shown, tell
from tigon.cli.score_table import Table, Told
from tigon.data.batches import even_rows
from tigon.data.defects import GOOD, is_defect_layout, read_defects
from tigon.data.form import MAX_PIXELS, Frames
from tigon.data.held_out import taken
from tigon.data.images import ImageSet
from tigon.diagnostics.evaluation import COMPONENTS
from tigon.diagnostics.outliers import Baselines
from tigon.errors import TigonError
from tigon.export.load import load
from tigon.files import parents_made, refusal, replace_file
from tigon.inference.score import (
    FEWEST,
    NOT,
    Scored,
    require_enough,
    require_name,
    require_quantile,
    score_all,
    score_names,
    white_of,
)
from tigon.models.abilities import HasLatents
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart
from tigon.models.folder import is_model_folder
from tigon.outputs import check_out, write_images, write_rows
from tigon.runs.experiment import choose_device

COLUMNS = 10  # images in a row of the picture
MapPath = Annotated[Path | None, tyro.conf.arg(name="map", metavar="FOLDER|FILE.png")]
Calibrate = Annotated[Data | None, tyro.conf.arg(name="calibrate", metavar="DATA")]
By = Annotated[str | None, tyro.conf.arg(name="by", metavar="SCORE")]


@dataclass(frozen=True)
class Score:
    """Score how unusual images are under a model: raw, and beside images it has not learned from.

    With latents: minus log p(x, z), reconstruction error and minus log p(z); with a log-density:
    minus it, and the norm of its gradient. Higher is more unusual. A percentile of 99 says that
    at most 1 of 100 images like those of the calibration score as high. A folder with
    train/good, test/good and test/CLASS (and ground_truth/CLASS), as anomaly benchmarks have it,
    is read whole: AUROC and AUPRC are printed, beside those of baselines without learning.

    Arguments:
        model_folder: a run folder or model folder
        data: images to score: a folder of images, a .npz with `images`, one picture, or a folder
            in the layout of anomaly benchmarks
        out: a .csv with a row for each image: its name, scores and percentiles
        map: what of the main score lies where: a folder of PNGs, one for each image, in the
            order of --out, or a .png of the most and the least unusual images above their maps
        calibrate: images that the model has not learned from, 20 or more, whose scores give the
            percentiles; by default those that the run held out
        count: calibration images at most, >= 20; evenly spaced ones if there are more
        raw: scores alone, without calibration and percentiles
        contamination: add a label, 1 for images above the 1 - C quantile of the calibration,
            in (0, 0.5]: C is the part of images like those that get 1, at most
        by: the score that labels, maps' order and the printed images go by; the first if not given
        frames: read the first or all pages or frames of a file
        max_pixels: leave out pictures with more pixels than this
        starts: chains per image that infer its latents, half of them from the linear guess, if
            there is one
        seed: seed for the chains, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    model_folder: ModelFolder
    data: Data
    out: Path
    map: MapPath = None
    calibrate: Calibrate = None
    count: int = 100
    raw: Flag = False
    contamination: float | None = None
    by: By = None
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    starts: int = 4
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Score, write, and print the most unusual images and how well defects are told."""
        self._check()
        model = self._model()
        by = self._by(model)
        calibrating = None if self.raw else self._calibrating(model)
        layout = is_defect_layout(self.data)
        if layout and self.frames != "first":
            raise TigonError(
                f"--frames {self.frames}: in the layout of {self.data} a mask is of one picture"
            )
        defects = read_defects(Path(self.data), partial(self._load, model)) if layout else None
        images = defects.images if defects else self._images(model, self.data)
        baselines = self._baselines(model) if defects else None
        if calibrating is not None:
            tell_of_shared(images, calibrating)
        kept = self.map is not None
        found = self._scored(model, images, "score", kept or defects is not None)
        beside = (
            None if calibrating is None else self._scored(model, calibrating, "calibration", kept)
        )
        scored = Table.of(images, found, beside, defects, self.contamination, by)
        told = Told.of(scored, baselines) if baselines else None
        self._write(scored)
        white = self._write_maps(scored, beside)
        return self._result(scored, told, white)

    def _check(self) -> None:
        """Refuse options that cannot be right, before anything is read.

        Raises:
            TigonError: it names the option
        """
        if self.starts < 1 or self.seed < 0:
            raise TigonError("--starts must be at least 1, and --seed at least 0")
        if self.count < FEWEST:
            raise TigonError(f"--count {self.count}: must be at least {FEWEST}")
        for option in ("calibrate", "contamination"):
            if self.raw and getattr(self, option) is not None:
                raise TigonError(f"--raw: has no calibration, which --{option} is for")
        if self.contamination is not None and not 0 < self.contamination <= 0.5:
            raise TigonError(
                f"--contamination {self.contamination:g}: must be above 0 and at most 0.5"
            )
        inputs = self.model_folder, self.data, self.calibrate
        check_out(self.out, inputs, (".csv",))
        if self.map is not None:
            check_out(self.map, inputs, (".png", ""), "--map")

    def _model(self) -> Model:
        place = choose_device(self.device)
        model = load(self.model_folder, self.checkpoint)
        try:
            score_names(model)
        except TigonError as error:
            raise TigonError(f"{self.model_folder}: {error}") from error
        return model.to(place).eval()

    def _by(self, model: Model) -> str:
        try:
            return require_name(model, self.by)
        except TigonError as error:
            raise TigonError(f"--by: {error}") from error

    def _images(self, model: Model, data: str | Path) -> ImageSet:
        return images_for(model, data, self.frames, self.max_pixels)

    def _load(self, model: Model, folder: Path, channels: int) -> ImageSet:
        """Load a folder of an anomaly benchmark, with the model's channels if they are 0."""
        own, height, width = model.image_shape
        shape = channels or own, height, width
        return images_for(model, folder, max_pixels=self.max_pixels, shape=shape)

    def _calibrating(self, model: Model) -> ImageSet:
        """Return the images that percentiles are taken beside.

        Raises:
            TigonError: if there are fewer than 20, or too few for --contamination, or those of
                --calibrate are training images
        """
        instead = "give some with --calibrate, or ask for scores alone with --raw"
        if self.calibrate is not None:
            images, whose = self._images(model, self.calibrate), f"--calibrate {self.calibrate}"
        elif is_model_folder(self.model_folder):
            raise TigonError(
                f"{self.model_folder}: a model folder has no images that were held out; {instead}"
            )
        else:
            whose = f"run {self.model_folder}"
            held_out = complete_training_of(self.model_folder, self.checkpoint).held_out
            if held_out is None:
                raise TigonError(f"{whose}: held out no images, which percentiles need; {instead}")
            images = held_out
        if len(images) > self.count:
            images = taken(images, even_rows(len(images), self.count).numpy())
        try:
            require_enough(len(images))
            if self.contamination is not None:
                require_quantile(len(images), self.contamination)
        except TigonError as error:
            more = f"; {instead}" if self.calibrate is None else ""
            raise TigonError(f"{whose}: {error}{more}") from error
        if self.calibrate is not None:
            refuse_training_images(images, whose, self.model_folder, self.checkpoint)
        return images

    def _baselines(self, model: Model) -> Baselines:
        """Fit baselines to the run's training images; of a model folder, to train/good."""
        if is_model_folder(self.model_folder):
            training = self._load(model, Path(self.data) / "train" / GOOD, 0)
        else:
            training = complete_training_of(self.model_folder, self.checkpoint)
        tell(f"fitting baselines to {counted(len(training), 'training image')}")
        dim = model.latent_dim if isinstance(model, HasLatents) else COMPONENTS
        try:
            found = Baselines.of(training, dim)
        except ValueError as error:
            raise TigonError(f"baselines: {error}") from error
        for note in found.notes:
            tell(note)
        return found

    def _scored(self, model: Model, images: ImageSet, purpose: str, maps: bool) -> Scored:
        kind = "image" if purpose == "score" else "calibration image"
        tell(f"scoring {counted(len(images), kind)}")
        shown = partial(steps_shown, title=f"scoring {kind}s")
        return score_all(model, images, ColdStart(self.starts), self.seed, purpose, shown, maps)

    def _write(self, scored: Table) -> None:
        try:
            with parents_made(self.out):
                replace_file(self.out, scored.text())
        except OSError as error:
            raise TigonError(f"--out {self.out}: cannot be written ({refusal(error)})") from error

    def _write_maps(self, scored: Table, beside: Scored | None) -> float | None:
        """Write maps if they are asked for; return the value that is white in them."""
        if self.map is None:
            return None
        of = scored.found.maps if beside is None else beside.maps
        white = white_of(of)
        maps = (scored.found.maps / white).clamp(max=1).mul(255).round().to(torch.uint8)
        pixels = maps.numpy()[..., None]
        if not self.map.suffix:
            write_images(self.map, pixels)
            return white
        order, seen = scored.order(), np.asarray(scored.images.pixels)
        rows = []
        for label, some in (("most", order[:COLUMNS]), ("least", order[::-1][:COLUMNS])):
            rows += [(f"{label} unusual", seen[some]), ("their maps", _like(pixels[some], seen))]
        write_rows(self.map, rows)
        return white

    def _result(self, scored: Table, told: Told | None, white: float | None) -> Result:
        """Say which images are most unusual, what the number is not, and how well defects show."""
        lines = [scored.said(), *scored.most_unusual()]
        if told:
            lines += told.lines()
        lines += [f"{scored.by}: {said}" for name, said in NOT.items() if name in scored.by]
        lines.append(f"{self.out}: a row for each image: {', '.join(scored.columns())}")
        values = scored.values() | {"out": str(self.out)}
        if white is not None:
            lines.append(f"{self.map}: maps, white where the value is {white:.4g} or more")
            values |= {"map": str(self.map), "white": white}
        return Result("\n".join(lines), values | (told.values if told else {}))


def _like(maps: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return grey maps (N, H, W, 1) with as many channels as images have."""
    return maps.repeat(images.shape[3], 3)
