"""tigon evaluate: how good a model is on images it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tigon.cli.common import (
    Flag,
    Held,
    Json,
    MaskPlace,
    Result,
    RunFolder,
    Which,
    images_for,
    infer,
)
from tigon.cli.progress import SLOW, busy, steps_shown, tell
from tigon.data.form import MAX_PIXELS, Frames
from tigon.data.images import ImageSet
from tigon.diagnostics.drawing import nearest_figure
from tigon.diagnostics.evaluation import HELD_OUT, Drawn, Evaluation, evaluate
from tigon.diagnostics.likelihood import Likelihoods, LikelihoodSettings
from tigon.diagnostics.rules.base import Level
from tigon.diagnostics.rules.held_out import of_evaluation
from tigon.errors import TigonError
from tigon.files import in_shell
from tigon.inference.brackets import Ends
from tigon.inference.likelihood import require_likelihood
from tigon.mcmc.weights import CONFIDENCE
from tigon.models.base import Model
from tigon.models.cold_start import Reconstruction
from tigon.report import is_kept, save_figures
from tigon.runs.evaluation import save_evaluation, to_plain
from tigon.runs.experiment import choose_device
from tigon.runs.run import Run


@dataclass(frozen=True)
class Evaluate:
    """Measure a model on images it has not seen, and compare it with baselines without learning.

    For a model with latents: the error of its reconstructions. For images that it draws:
    KID-lite0, FD-lite0, precision, recall and energy distance (with the extra `features`), and
    whether they copy training images. The baselines are principal components, a Gaussian on their
    scores, the mean image, and training images in the model's place.

    Arguments:
        run_folder: the run folder; the baselines are made from its training images
        data: images the model has not learned from: a folder, or a .npz with `images`; by default
            those that the run held out
        mask: which values of --data were observed, as `tigon train --mask` has it; errors are then
            over these
        frames: read the first or all pages or frames of a file
        max_pixels: leave out pictures with more pixels than this
        count: most images in each compared set, >= 2; latents are inferred for 64 at most
        starts: chains per held-out image, half of them from the linear guess, if there is one
        likelihood: also estimate how probable held-out images are, from below and from above, by
            annealed importance sampling: of a generator, or of a descriptor of one grid whose
            chains are at temperature 1
        likelihood_images: number of those images, >= 1; 16 if not given, and of images that a
            generator draws half as many
        likelihood_chains: chains per image and direction, >= 2; 8 if not given, and 16 for the
            constant of a descriptor
        likelihood_temperatures: temperatures between reference and density, >= 1; 25 if not
            given, and 500 for the constant of a descriptor
        seed: seed for samples and chains, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    run_folder: RunFolder
    data: Held = None
    mask: MaskPlace = None
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    count: int = 1000
    starts: int = 4
    likelihood: Flag = False
    likelihood_images: int | None = None
    likelihood_chains: int | None = None
    likelihood_temperatures: int | None = None
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Measure, write RUN/evaluation.json and its figure, and print the tables."""
        if self.count < 2 or self.starts < 1 or self.seed < 0:
            raise TigonError("--count must be at least 2, --starts at least 1, --seed at least 0")
        asked = self._likelihood()
        run = Run(self.run_folder, self.checkpoint)
        how = self.count, self.starts, self.seed, asked
        if self.data is None and self.mask is not None:
            raise TigonError("--mask: is for images given as --data; a run's own have their masks")
        if self.data is None:
            return Result(*evaluated(run, self.device, *how))
        model = _model(run, self.device, asked)
        held_out = images_for(model, self.data, self.frames, self.max_pixels, mask=self.mask)
        found = _measure(model, held_out, _training(run), *how)
        return Result(*_saved(run, self.data, found))

    def _likelihood(self) -> LikelihoodSettings | None:
        """Return how likelihoods are estimated, if they are.

        Raises:
            TigonError: if an option of them is out of range, or they were not asked for
        """
        least = {"images": 1, "chains": 2, "temperatures": 1}
        given = {name: getattr(self, f"likelihood_{name}") for name in least}
        for name, value in given.items():
            if value is not None and not self.likelihood:
                raise TigonError(f"--likelihood-{name}: has no effect without --likelihood")
            if value is not None and value < least[name]:
                raise TigonError(f"--likelihood-{name} {value}: must be at least {least[name]}")
        if not self.likelihood:
            return None
        images = given.pop("images") or LikelihoodSettings.images
        return LikelihoodSettings(images, **given, seed=self.seed, shown=steps_shown)


def evaluated(
    run: Run,
    device: str,
    count: int,
    starts: int = 4,
    seed: int = 0,
    likelihood: LikelihoodSettings | None = None,
) -> tuple[str, dict[str, Any]]:
    """Measure a run's model on the images that it held out, and write RUN/evaluation.json.

    Arguments:
        device, count, starts, seed: as in `Evaluate`
        likelihood: how likelihoods are estimated, if they are
    Returns:
        the evaluation as text for people, and as values for programs
    Raises:
        TigonError: if no images were held out, or they cannot be measured
    """
    model = _model(run, device, likelihood)
    training = _training(run)
    if training.held_out is None:
        raise TigonError(
            f"run {run.folder}: no images were held out; give images it has not seen with --data"
        )
    found = _measure(model, training.held_out, training, count, starts, seed, likelihood)
    return _saved(run, HELD_OUT, found)


def _model(run: Run, device: str, likelihood: LikelihoodSettings | None) -> Model:
    """Return a run's model.

    Raises:
        TigonError: if its likelihood is asked for, and it has none
    """
    model = run.model().to(choose_device(device)).eval()
    if likelihood is not None:
        try:
            require_likelihood(model)
        except TigonError as error:
            raise TigonError(f"--likelihood: {run.folder}: {error}") from error
    return model


def _training(run: Run) -> ImageSet:
    """Return a run's images; here --data is for others."""
    return run.images(
        f"tigon resume {in_shell(run.folder)} --data NEW, once it is done, says where they are"
    )


def _measure(
    model: Model,
    held_out: ImageSet,
    training: ImageSet,
    count: int,
    starts: int,
    seed: int,
    likelihood: LikelihoodSettings | None,
) -> Evaluation:
    def inferred(model: Model, images: Tensor, mask: Tensor | None = None) -> Reconstruction:
        return infer(model, images, starts, seed, mask=mask)

    with busy("comparing images", log=True, after=SLOW):
        return evaluate(model, held_out, training, inferred, count, seed, tell, likelihood)


def _saved(run: Run, data: str, found: Evaluation) -> tuple[str, dict[str, Any]]:
    """Write RUN/evaluation.json and its figure, unless the run is read-only.

    Returns:
        the evaluation as text for people, and as values for programs
    """
    drawn = [] if found.nearest is None else [nearest_figure(found.nearest)]
    kept = is_kept(run)
    values = to_plain(run, data, found, save_figures(run, drawn) if kept else [])
    if kept:
        save_evaluation(run, values)
    else:
        tell(f"run {run.folder}: is read-only; evaluation.json is not written")
    paths = [run.folder / "figures" / f"{figure['name']}.png" for figure in values["figures"]]
    return "\n".join([text_of(found), *(f"figure: {path}" for path in paths)]), values


def text_of(found: Evaluation) -> str:
    """Return an evaluation as text: its tables, findings and notes."""
    parts = []
    if found.reconstructions:
        rows = {
            k: (f"{v.error:.5f}", f"{v.psnr:.1f} dB") for k, v in found.reconstructions.items()
        }
        title = f"reconstructions of {found.reconstructed} held-out images"
        parts.append(table(title, ("error, [-1, 1]", "PSNR"), rows))
    if found.samples:
        title = f"{found.drawn} images beside as many held-out ones"
        heads = ("KID-lite0", "FD-lite0", "precision", "recall", "energy")
        parts.append(table(title, heads, {k: _cells(v) for k, v in found.samples.items()}))
    if found.likelihood is not None:
        parts.append(likelihood_table(found.likelihood))
    for finding in of_evaluation(found):
        parts.append(f"{finding.level.name.lower():<5}{finding.name}: {finding.what}")
        if finding.level is Level.BAD:
            parts.append(f"     do: {finding.remedy}")
    return "\n".join([*parts, *(f"note {text}" for text in found.notes)])


def likelihood_table(found: Likelihoods) -> str:
    """Return how probable images are, in a table of nats and one of bits per dimension."""
    bracket = f"{100 * CONFIDENCE:g} % bracket"
    rows = {
        name: (
            str(row.images),
            *_ends(row.ends, ".2f", ".2f"),
            "" if row.error is None else f"± {row.error:.1f}",
            "" if row.sigma is None else f"{row.sigma:.3g}",
        )
        for name, row in found.rows.items()
    }
    nats = (
        f"mean log p of images in nats, by {found.chains} chains and {found.temperatures} "
        f"temperatures each way (acceptance {found.accept:.2f}), ± standard error over chains"
    )
    heads = ("images", "from below", "from above", bracket, "over images", "sigma")
    bits = {
        name: (*_ends(row.bits(), ".4f", ".1g"), f"{row.bits(255).below:.4f}")
        for name, row in found.rows.items()
    }
    second = ("from below", "from above", bracket, "in [0, 255]")
    title = "the same in bits per dimension, -log2 p: lower is better"
    return f"{table(nats, heads, rows)}\n{table(title, second, bits)}"


def _ends(ends: Ends, form: str, error: str) -> tuple[str, str, str]:
    """Return both ends with their errors, and the bracket, its lower end of log p first."""
    if ends.lower == ends.upper:
        return f"{ends.below:{form}}", "exact", "exact"
    return (
        f"{ends.below:{form}} ± {ends.below_error:{error}}",
        f"{ends.above:{form}} ± {ends.above_error:{error}}",
        f"{ends.lower:{form}} to {ends.upper:{form}}",
    )


def _cells(drawn: Drawn) -> tuple[str, ...]:
    return (
        drawn.kid.text(3),
        f"{drawn.frechet:.3g}",
        f"{drawn.precision:.2f}",
        f"{drawn.recall:.2f}",
        f"{drawn.energy:.3g}",
    )


def table(title: str, heads: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> str:
    """Return a text table with aligned columns under a title."""
    cells = [("", *heads), *((name, *values) for name, values in rows.items())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads) + 1)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in cells
    ]
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
