"""tigon restore: draw images given what was observed of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from tigon.cli.common import (
    Data,
    Flag,
    Json,
    MaskPlace,
    ModelFolder,
    Result,
    Which,
    images_for,
)
from tigon.cli.progress import counted, steps_shown, tell
from tigon.data.form import MAX_PIXELS
from tigon.data.images import ImageSet
from tigon.data.masks import ALPHA
from tigon.data.pixels import mean_observed, to_mask, to_uint8
from tigon.diagnostics.similarity import psnr_and_ssim, require_similarity
from tigon.errors import TigonError
from tigon.export.load import load
from tigon.inference.physics import Blur, Downsample, Grey, Mask, Physics
from tigon.inference.restore import WHITE, Draws, Restored, restore
from tigon.models.abilities import HasCompletion, HasDecoder
from tigon.models.base import Model
from tigon.outputs import check_out, require_rows_viewable, write_images, write_rows
from tigon.random.streams import RowRng
from tigon.runs.experiment import choose_device
from tigon.sizes import image_size, size_text

TOGETHER = 4  # images whose chains run together
COLUMNS, SHOWN = 10, 3  # images in a row of the picture; draws of each that it shows
NARROWEST, WIDEST = 0.01, 50  # blur, in pixels
LOUDEST = 100  # noise, where values are in [-1, 1]
Truth = Annotated[Data | None, tyro.conf.arg(name="truth", metavar="DATA")]


@dataclass(frozen=True)
class Restore:
    """Draw images given what was observed of them: with values missing, made small, blurred, grey.

    Arguments:
        model_folder: a run folder or model folder: a generator's, or for --mask a descriptor's
        data: what was observed: a folder of images, a .npz with `images`, or one picture
        out: a .png (observed, mean, draws and spread below each other), a .npz (means as `images`,
            `samples`, `spread` and `latents`) or a folder of PNGs (means)
        mask: some values are missing: a picture of the size of the model's images, white where
            values are kept and black or transparent where they are missing; a folder with one for
            each image, of the same name; or alpha: missing is where images are transparent
        downsample: squares of so many pixels a side were averaged
        blur: images were convolved with a Gaussian of this standard deviation, in the model's
            pixels
        grey: colours are missing
        noise: standard deviation of the noise in what was observed, on the scale of [-1, 1], >= 0,
            or `auto` to estimate it for each image; a blur needs one above 0
        truth: the images themselves, in the same order, which results are held against (extra
            `restore`)
        smooth: draws without the details that the model does not know: E[x | z, y] for draws of
            the latents; of an image restored without f(z) all are the same
        decoder_only: restore every image by f(z), also where the Gaussian of whole images explains
            what was observed better
        chains: chains per image, each of which gives 4 draws, or one without latents
        max_pixels: leave out pictures with more pixels than this
        seed: seed for the chains, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    model_folder: ModelFolder
    data: Data
    out: Path
    mask: MaskPlace = None
    downsample: int | None = None
    blur: float | None = None
    grey: Flag = False
    noise: float | Literal["auto"] = 0.0
    truth: Truth = None
    smooth: Flag = False
    decoder_only: Flag = False
    chains: int = 8
    max_pixels: int = MAX_PIXELS
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Restore, write, and print how near the truth it is, if that is known."""
        self._check()
        mask = None if self.mask == ALPHA else self.mask
        check_out(self.out, (self.model_folder, self.data, mask, self.truth))
        if self.truth is not None:
            require_similarity()
        model = self._model()
        _, *size = model.image_shape
        observed, how = self._observed(model), Draws(self.chains)
        truth = self._true(model, len(observed))
        if self.out.suffix == ".png":
            draws = self.chains * (how.draws if isinstance(model, HasDecoder) else 1)
            rows = 3 + min(SHOWN, draws) + (truth is not None)
            require_rows_viewable(self.out, len(observed), (size[0], size[1]), rows, COLUMNS)
        found = self._restored(model, observed, how)
        self._write(observed, found, truth)
        return self._result(observed, found, how, truth)

    def _model(self) -> Model:
        """Load the model.

        Raises:
            TigonError: if it cannot restore what was observed like this
        """
        place = choose_device(self.device)
        model = load(self.model_folder, self.checkpoint)
        if not isinstance(model, HasDecoder | HasCompletion):
            raise TigonError(
                f"{self.model_folder}: this model has neither latents nor chains that complete "
                "images, which restore needs"
            )
        if not isinstance(model, HasDecoder) and (self.mask is None or self.noise != 0):
            raise TigonError(
                f"{self.model_folder}: this model has no latents, and restores what --mask hides, "
                "without --noise, and nothing else"
            )
        for option, given in (("--smooth", self.smooth), ("--decoder-only", self.decoder_only)):
            if given and not isinstance(model, HasDecoder):
                raise TigonError(
                    f"{option}: is for models with latents, and {self.model_folder} has none; "
                    "leave it out"
                )
        return model.to(place)

    def _result(
        self, observed: ImageSet, found: Restored, how: Draws, truth: ImageSet | None
    ) -> Result:
        """Say what was drawn, and how near the truth it is, if that is known."""
        count, draws = found.samples.shape[:2]
        values = {
            "out": str(self.out),
            "images": count,
            "draws": draws,
            "spread": found.spread.mean().item() if draws > 1 else None,
            "noise": found.noise.mean().item(),
        }
        accept, evaluations = found.accept.mean().item(), how.gradient_evaluations
        how_drawn = f"mean acceptance {accept:.2f}; {evaluations} gradient evaluations an image"
        if math.isnan(accept):
            how_drawn = "the model's own short chains, which accept every step"
        else:
            values |= {"acceptance": accept, "gradient_evaluations": evaluations}
        lines = [
            f"{counted(count, 'image')}, {counted(draws, 'draw')} of each by "
            f"{counted(self.chains, 'chain')}: {how_drawn}",
            "spread: not known from one draw"
            if values["spread"] is None
            else f"mean spread {values['spread']:.3f}: the standard deviation of a value given "
            "what was observed, on the scale of [-1, 1]",
        ]
        if not found.evidence.isnan().all():
            without = int((found.evidence < 0).sum())
            values["without_decoder"] = without
            lines.append(
                f"{without} of {counted(count, 'image')} restored without f(z): the Gaussian of "
                "whole images explains what was observed of them better"
            )
        if self.noise == "auto":
            lowest, highest = found.noise.min(), found.noise.max()
            lines.append(
                f"estimated noise of what was observed: {values['noise']:.3f} on average "
                f"({lowest:.3f} to {highest:.3f})"
            )
        if truth is not None:
            near = _nearness(found, truth)
            values |= near
            lines.append(
                f"beside the truth: mean of the draws {near['psnr_mean']:.2f} dB, SSIM "
                f"{near['ssim_mean']:.3f}; single draws {near['psnr_draws']:.2f} dB, SSIM "
                f"{near['ssim_draws']:.3f}"
            )
        if truth is not None and observed.incomplete:
            error = mean_observed((found.mean - truth.read()) ** 2, 1 - _kept(observed))
            values["missing_error"] = error.nanmean().item()  # nothing may be missing of some
            lines.append(
                f"mean squared error of what was missing {values['missing_error']:.5f}, on the "
                "scale of [-1, 1]"
            )
        lines.append(f"{self.out}: {self._what(min(SHOWN, draws), truth is not None)}")
        return Result("\n".join(lines), values)

    def _check(self) -> None:
        """Refuse options that cannot be right, before anything is read.

        Raises:
            TigonError: it names the option
        """
        if self.chains < 1 or self.seed < 0:
            raise TigonError("--chains must be at least 1, and --seed at least 0")
        if self.noise != "auto" and not 0 <= self.noise <= LOUDEST:
            raise TigonError(f"--noise {self.noise:g}: must be at least 0 and at most {LOUDEST}")
        ways = [self.mask is not None, self.downsample is not None, self.blur is not None]
        if sum(ways) + self.grey != 1:
            raise TigonError(
                "restore: give exactly one of --mask, --downsample, --blur and --grey, which say "
                "how the images of --data were observed"
            )
        if self.blur is not None:
            if not NARROWEST <= self.blur <= WIDEST:
                raise TigonError(
                    f"--blur {self.blur:g}: must be at least {NARROWEST} and at most {WIDEST}"
                )
            if not self.noise:
                raise TigonError(
                    "--blur: needs --noise, such as --noise 0.02: a blur takes away details that "
                    "cannot be solved for if what was observed is taken as exact"
                )

    def _true(self, model: Model, count: int) -> ImageSet | None:
        """Return the images themselves, if they are given.

        Raises:
            TigonError: if they are not `count`
        """
        if self.truth is None:
            return None
        images = images_for(model, self.truth, max_pixels=self.max_pixels)
        if len(images) != count:
            raise TigonError(
                f"--truth {self.truth}: has {counted(len(images), 'image')}, but --data "
                f"{self.data} has {count}"
            )
        return images

    def _observed(self, model: Model) -> ImageSet:
        """Return what was observed.

        Raises:
            TigonError: if the way in which it was does not fit the model's images
        """
        channels, height, width = model.image_shape
        if self.grey:
            if channels != 3:
                raise TigonError(f"--grey: the images of {self.model_folder} are grey already")
            channels = 1
        if self.downsample is not None:
            factor, size = self.downsample, image_size(height, width)
            sides = height // max(1, factor), width // max(1, factor)
            if factor < 2 or height % factor or width % factor or min(sides) < 8:
                raise TigonError(
                    f"--downsample {factor}: must be 2 or more, divide {size_text(size)}, the "
                    "size of the model's images, and leave 8 pixels or more"
                )
            height, width = sides
        shape = channels, height, width
        return images_for(
            model, self.data, max_pixels=self.max_pixels, shape=shape, mask=self.mask
        )

    def _physics(self, kept: Tensor) -> Physics:
        """Return how images with these masks (B, 1, H, W) were observed."""
        if self.mask is not None:
            return Mask(kept)
        if self.downsample is not None:
            return Downsample(self.downsample)
        return Grey() if self.blur is None else Blur(self.blur)

    def _restored(self, model: Model, observed: ImageSet, how: Draws) -> Restored:
        parts, kept = [], _kept(observed)
        tell(f"restoring {counted(len(observed), 'image')}, {counted(how.chains, 'chain')} each")
        noise = None if self.noise == "auto" else self.noise
        for first in steps_shown(range(0, len(observed), TOGETHER), "restoring"):
            rows = range(first, min(first + TOGETHER, len(observed)))
            some = slice(rows.start, rows.stop)
            y, physics = observed.read(some), self._physics(kept[some])
            y = y if self.mask is None else physics(y)
            chains = range(rows.start * how.chains, rows.stop * how.chains)
            rng = RowRng(self.seed, 0, chains, "restore")
            y = y.to(model.device)
            found = restore(model, y, physics, rng, noise, self.smooth, how, not self.decoder_only)
            parts.append(Restored(*(tensor.cpu() for tensor in found)))
        return Restored(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def _what(self, shown: int, truth: bool) -> str:
        """Say what is written, depending on the path's ending.

        Arguments:
            shown: number of draws of each image in a .png
            truth: whether the truth is below them
        """
        known = {
            ".png": "what was observed, and below it the mean, "
            f"{counted(shown, 'draw')}, the spread (white: {WHITE:g} or more)"
            f"{' and the truth' if truth else ''}",
            ".npz": "means (`images`), `samples`, `spread` and `latents`",
        }
        return known.get(self.out.suffix, "a PNG of each mean")

    def _write(self, observed: ImageSet, found: Restored, truth: ImageSet | None) -> None:
        means = to_uint8(found.mean)
        if self.out.suffix != ".png":
            samples = to_uint8(found.samples.flatten(0, 1))
            write_images(
                self.out,
                means,
                samples=samples.reshape(*found.samples.shape[:2], *samples.shape[1:]),
                spread=found.spread.permute(0, 2, 3, 1).numpy(),
                latents=found.latents.numpy(),
            )
            return
        seen = np.asarray(observed.pixels)
        rows = [("observed", _enlarged(seen, means.shape[1:])), ("mean", means)]
        some = found.samples[:, :: max(1, found.samples.shape[1] // SHOWN)][:, :SHOWN]
        rows += [(f"draw {k + 1}", to_uint8(some[:, k])) for k in range(some.shape[1])]
        rows.append(("spread", _enlarged(to_uint8(found.shaded()), means.shape[1:])))
        if truth is not None:
            rows.append(("truth", np.asarray(truth.pixels)))
        lines = []
        for first in range(0, len(means), COLUMNS):
            lines += [(label, pixels[first : first + COLUMNS]) for label, pixels in rows]
        write_rows(self.out, lines)


def _kept(observed: ImageSet) -> Tensor:
    """Return the mask of each image, (N, 1, H, W)."""
    if observed.masks is None:  # they keep everything
        return torch.ones(len(observed), 1, *observed.pixels.shape[1:3])
    return to_mask(np.asarray(observed.masks))


def _nearness(found: Restored, truth: ImageSet) -> dict[str, float]:
    """Return PSNR and SSIM of the means and of single draws, each a mean over images."""
    images = truth.read()
    means = psnr_and_ssim(found.mean.clamp(-1, 1), images)
    draws = [psnr_and_ssim(one.clamp(-1, 1), images) for one in found.samples.unbind(1)[:SHOWN]]
    return {
        "psnr_mean": means[0],
        "ssim_mean": means[1],
        "psnr_draws": sum(psnr for psnr, _ in draws) / len(draws),
        "ssim_draws": sum(ssim for _, ssim in draws) / len(draws),
    }


def _enlarged(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return pixels (N, h, w, c) repeated to the height, width and channels of `shape`."""
    height, width, channels = shape
    pixels = pixels.repeat(height // pixels.shape[1], 1).repeat(width // pixels.shape[2], 2)
    return pixels.repeat(channels // pixels.shape[3], 3)
