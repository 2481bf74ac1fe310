"""What a trained model achieves: does it fit the images, and would more iterations help?"""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

from tigon.diagnostics.quality import Missing, Reconstructions
from tigon.diagnostics.rules.base import Finding, Level, Record, longer, percent
from tigon.learners.base import RECENT

EXPLAINED = (0.1, 0.5)
CLOSER = (0.0, 0.5)
NOISE = 2.0  # factor between sigma and residual
SATISFIED = 0.99
BLOCKS, BLOCK = 6, 8
PAIRS, FALL = 13, 0.05


class Shows(NamedTuple):
    """What a model achieves, as a finding and as a phrase for the verdict.

    Attributes:
        finding: the finding, with its numbers
        words: the phrase for the verdict on a healthy run
        part: 1 is perfect, 0 is no better than the images' mean
    """

    finding: Finding
    words: str
    part: float


def of_reconstructions(found: Reconstructions) -> Shows | None:
    """Judge reconstructions of training images; None if these have no variance."""
    if not found.variance:
        return None
    part = found.explained
    middle, worst = found.errors.median().item(), found.errors.max().item()
    said = (
        f"reconstructions explain {_whole(part)} of the variance of {found.images} training "
        f"images (100 % is best, the images' mean explains none; healthy: above "
        f"{percent(EXPLAINED[1])}); the error of the median image is {percent(middle)} of the "
        f"variance, that of the worst {percent(worst)}"
    )
    remedy = "train for longer, use more latents (--latent-dim), or lower --sigma"
    if part < EXPLAINED[0]:
        than = "hardly better" if part >= 0 else "worse"
        said = f"{than} than the images' mean: {said}"
        remedy = "lower the learning rate (--optimizer.learning-rate), or train for longer"
    words = f"reconstructions explain {_whole(part)} of the images' variance"
    return Shows(_banded("reconstructions", part, EXPLAINED, said, remedy), words, part)


def of_missing(found: Missing) -> Finding:
    """Say how much of the training images was missing, and what the model knows of it."""
    said = (
        f"{percent(found.mean)} of the values of {found.images} training images were not "
        f"observed ({percent(found.least)} to {percent(found.most)} of one): the model was "
        "learned from the others alone, and errors are over these"
    )
    remedy = ""
    if found.never:
        said += (
            f"; {percent(found.never)} of the places were observed in no image, so that nothing "
            "but the network says what is there"
        )
        remedy = "use other masks, or crop the images to what was observed"
    return Finding("missing values", Level.NOTE, said, remedy, found.mean)


def of_sigma(sigma: float, residual: float, learned: bool) -> Finding:
    """Judge whether the model's noise fits the residuals of its images around f(z).

    Arguments:
        sigma: the model's sigma; the likelihood is maximal if it equals the residual
        residual: root mean squared error of f(z) at the chains' latents, both on [-1, 1]
        learned: whether sigma follows the residuals
    """
    said = (
        f"images differ from f(z) at the chains' draws by {residual:.3g} (root mean square on "
        f"[-1, 1]); the model's sigma is {sigma:.3g} (healthy: within a factor of {NOISE:g})"
    )
    if sigma / NOISE <= residual <= sigma * NOISE:
        return Finding("sigma", Level.GOOD, said, value=residual / sigma)
    remedy = "learn the noise (--sigma learn)"
    if learned:
        remedy = "train for longer, or lower --sigma-floor if sigma has reached it"
    return Finding("sigma", Level.NOTE, said, remedy, residual / sigma)


def of_agreement(records: list[Record], mean_image: float) -> Shows | None:
    """Judge how close synthesised images are to training images, if that was logged.

    Arguments:
        mean_image: energy distance between training images and copies of their mean
    """
    values = [r["energy_distance"] for r in records[-RECENT:] if "energy_distance" in r]
    if not values or not mean_image:
        return None
    distance = median(values)
    part = 1 - distance / mean_image
    said = (
        f"energy distance of synthesised from training images {distance:.3g}, median of the last "
        f"{len(values)} iterations (0 is best): they are {_closer(part)} (healthy: at least "
        f"{percent(CLOSER[1])} closer)"
    )
    remedy = "train for longer, or use more chain steps (--chains.steps)"
    if part < CLOSER[0]:
        remedy = "lower the learning rate (--optimizer.learning-rate) or the chains' step size"
    words = f"synthesised images are {_closer(part)}"
    return Shows(_banded("synthesised images", part, CLOSER, said, remedy), words, part)


def _closer(part: float) -> str:
    if part < 0:
        return f"{1 - part:.3g} times as far from the training images as copies of the mean image"
    return f"{_whole(part)} closer to the training images than copies of the mean image"


def of_course(
    name: str,
    values: Sequence[float],
    part: float | None,
    settling: bool = False,
    ends_by: str = "iterations",
) -> Finding | None:
    """Say whether a measure still falls at the end; None if there are too few values.

    Arguments:
        name: name of the measure, such as "reconstruction error"
        values: one value per iteration, lower is better
        part: the fraction of the possible that the model achieves; None if unknown
        settling: whether it falls because its fluctuations shrink with the learning rate
        ends_by: the option that ends such a run, as `Recipe.ends_by`
    """
    fall = falls(values)
    if fall is None:
        return None
    window = _window(values)
    said = f"{name} {median(window[-BLOCK:]):.3g} at the end"
    if fall < FALL:
        said += f"; over the last {len(window)} iterations it no longer falls steadily"
        return Finding("end of learning", Level.GOOD, said, value=fall)
    said += f", and it still falls: by {percent(fall)} over the last {len(window)} iterations"
    if settling:
        said += ", because the learning rate falls: a longer run need not end lower"
        return Finding("end of learning", Level.GOOD, said, value=fall)
    if part is not None and part >= SATISFIED:
        said += f", which matters little since {_whole(part)} is reached"
        return Finding("end of learning", Level.GOOD, said, value=fall)
    return Finding(
        "end of learning", Level.NOTE, said, f"more is likely to help ({longer(ends_by)})", fall
    )


def falls(values: Sequence[float]) -> float | None:
    """Return the fraction by which a measure falls steadily at the end, 0 if it does not.

    The last quarter, at least 48 values, is cut into six blocks, and the medians of all pairs of
    blocks are compared: it falls if the later one is lower in 13 of the 15 pairs, which has a
    probability of less than 3 % if the blocks only fluctuate. None if there are too few values.
    """
    window = _window(values)
    if len(window) < BLOCKS * BLOCK:
        return None
    size = len(window) // BLOCKS
    window = window[len(window) - BLOCKS * size :]
    middles = [median(window[k * size : (k + 1) * size]) for k in range(BLOCKS)]
    lower = sum(later < earlier for earlier, later in combinations(middles, 2))
    change = middles[0] - middles[-1]
    return change / abs(middles[0]) if lower >= PAIRS and middles[0] and change > 0 else 0.0


def _window(values: Sequence[float]) -> Sequence[float]:
    return values[-max(BLOCKS * BLOCK, len(values) // 4) :]


def _banded(name: str, part: float, band: tuple[float, float], said: str, remedy: str) -> Finding:
    if part >= band[1]:
        return Finding(name, Level.GOOD, said, value=part)
    level = Level.BAD if part < band[0] else Level.NOTE
    return Finding(name, level, said, remedy, part)


def _whole(part: float) -> str:
    """Return a fraction as per cent with one decimal, rounded down, so that 100 means all."""
    if part < 0:
        return "none"
    return f"{math.floor(1000 * part + 1e-6) / 10:g} %"
