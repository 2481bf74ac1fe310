"""What a model is worth on images that it has not seen, held against a linear model."""

import math

from tigon.diagnostics.copies import CLOSE, COPIED
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, PCA, TRAINING, Evaluation
from tigon.diagnostics.likelihood import DRAWN, OWN, SAME, Likelihood, Likelihoods
from tigon.diagnostics.likelihood import HELD_OUT as UNSEEN
from tigon.diagnostics.rules.base import Finding, Level, percent
from tigon.inference.brackets import Ends
from tigon.mcmc.weights import CONFIDENCE

SLACK = 1.1  # of what a linear generator leaves
LONGER = "train for longer, on more images, or with another --latent-dim or --network.width"


def of_evaluation(found: Evaluation) -> list[Finding]:
    """Judge an evaluation: reconstructions, drawn images, copies, and likelihood."""
    return [
        *_reconstructions(found),
        *_samples(found),
        *_copies(found),
        *of_likelihood(found.likelihood),
    ]


def of_unmeasured(held_out: int) -> Finding:
    """Say what is not known of a run that was not measured on images it has not seen.

    Arguments:
        held_out: how many of its images it did not learn from
    """
    if held_out:
        said = f"the model was not measured on the {held_out} images that it has not learned from"
        return Finding("held-out images", Level.NOTE, f"{said}: `tigon evaluate RUN` does it")
    return Finding(
        "held-out images",
        Level.NOTE,
        "no images were held out, so that nothing is known of images that it has not seen, and "
        "its own may be copies of training images",
    )


def of_linear(own: float, linear: float, noise: float, components: int) -> Finding:
    """Judge reconstructions of training images beside those of a linear model.

    The model's are of latents drawn from their posterior, the linear ones of its mean: a linear
    generator's own draws leave `noise` more than its mean does, at most.

    Arguments:
        own, linear: parts of the images' variance that are left, of the model and of as many
            principal components as it has latents
        noise: the same of draws about the posterior's mean, d sigma^2 / D over the variance, for
            images of D observed values
    """
    said = (
        f"reconstructions of training images leave {percent(own)} of their variance, those of "
        f"{components} principal components {percent(linear)}"
    )
    if own <= SLACK * (linear + noise):
        return Finding("linear model", Level.GOOD, said, value=own / max(linear, 1e-12))
    said += ": the model is worse than a linear one"
    return Finding("linear model", Level.BAD, said, LONGER, own / max(linear, 1e-12))


def _reconstructions(found: Evaluation) -> list[Finding]:
    if not found.reconstructions:
        return []
    own, linear = (found.reconstructions[name].error for name in (MODEL, PCA))
    known = 2 * found.reconstructions[PCA].doubt
    said = (
        f"reconstructions of {found.reconstructed} held-out images have an error of {own:.4g} "
        f"(mean square on [-1, 1]), those of {found.components} principal components {linear:.4g}"
    )
    if own <= linear:
        return [Finding("held-out images", Level.GOOD, said, value=own)]
    if own - linear < known:
        said += f": the two differ by less than twice their difference's error, {known:.2g}"
        return [Finding("held-out images", Level.NOTE, said, value=own)]
    said += ": the model is worse than a linear one"
    return [Finding("held-out images", Level.BAD, said, LONGER, own)]


def _samples(found: Evaluation) -> list[Finding]:
    if not found.samples:
        said = "drawn images were not compared with those of a linear model"
        return [Finding("drawn images", Level.NOTE, f"{said}: {'; '.join(found.notes)}")]
    own, linear, floor = (found.samples[name].kid for name in (MODEL, GAUSSIAN, TRAINING))
    said = (
        f"KID-lite0 of drawn to held-out images {own.value:.3g}, of a Gaussian on principal "
        f"components {linear.value:.3g}, of training images {floor.value:.3g}"
    )
    apart, known = own.value - linear.value, 2 * math.hypot(own.error, linear.error)
    if apart <= -known:
        return [Finding("drawn images", Level.GOOD, said, value=own.value)]
    if apart <= known:
        said += (
            f": the two differ by less than twice their error, {known:.2g}, so neither is ahead"
            if math.isfinite(known)
            else ": the error of so few images is not known, and so not which is ahead"
        )
        return [Finding("drawn images", Level.NOTE, said, value=own.value)]
    said += ": a linear model draws images that are more like the held-out ones"
    return [Finding("drawn images", Level.BAD, said, LONGER, own.value)]


def _copies(found: Evaluation) -> list[Finding]:
    if not found.copies:
        return []
    numbers = ", ".join(
        f"{test.statistic:+.1f} and {test.relative:+.1f} by {name}"
        for name, test in found.copies.items()
    )
    said = (
        "distances of drawn images to training images beside those of held-out images, as they "
        f"are and relative to held-out neighbours: C_T {numbers} (copies are below {COPIED:g} in "
        f"both); nearer than all but {percent(CLOSE)} of real images are "
    )
    said += ", ".join(
        f"{test.close} of {len(test.neighbours.rows)} drawn images by {name} (p = "
        f"{test.chance:.2g})"
        for name, test in found.copies.items()
    )
    said += f"; {next(iter(found.copies.values())).least} would be too many for chance"
    if not any(test.copied for test in found.copies.values()):
        return [Finding("copies", Level.GOOD, f"no sign of copies: {said}")]
    remedy = "train on more images, for fewer iterations, or with a smaller network"
    some = not any(max(t.statistic, t.relative) < COPIED for t in found.copies.values())
    said = f"{'some ' * some}drawn images are copies of training images: {said}"
    if found.nearest is not None:
        said += f"; the most suspicious are most like {', '.join(found.nearest.suspects)}"
    return [Finding("copies", Level.BAD, said, remedy)]


def of_likelihood(found: Likelihoods | None) -> list[Finding]:
    """Judge how probable held-out images are, beside a linear model of the same noise."""
    if found is None:
        return []
    own = found.rows[UNSEEN]
    findings = [_crossed(found) if found.crossed else _bracket(found)]
    linear = found.rows.get(SAME, found.rows.get(OWN))
    if linear is None:
        return findings
    return [*findings, _beside(found, own.ends, linear)]


def _beside(found: Likelihoods, own: Ends, linear: Likelihood) -> Finding:
    """Judge the mean log p of held-out images beside that of a linear model."""
    exact = linear.ends.lower
    what = "" if linear.sigma is None else f" with sigma {linear.sigma:.3g}"
    said = (
        f"log p of {found.rows[UNSEEN].images} held-out images is at least {own.lower:.1f} nats "
        f"on average, that of probabilistic PCA{what} {exact:.1f}"
    )
    worse = "the model is worse than a linear one"
    if DRAWN not in found.rows:  # of the two ends of log p, only the upper one is a bound
        said = said.replace(f"at least {own.lower:.1f}", f"at most {own.upper:.1f}")
        if own.upper >= exact:
            return Finding("likelihood", Level.NOTE, said, value=own.upper)
        return Finding("likelihood", Level.BAD, f"{said}: {worse}", LONGER, own.upper)
    if own.lower >= exact:
        return Finding("likelihood", Level.GOOD, said, value=own.lower)
    if own.lower + found.width >= exact:
        said += f": nearer than the bracket is wide, {found.width:.3g} nats, so that neither is"
        return Finding("likelihood", Level.NOTE, f"{said} ahead", value=own.lower)
    return Finding("likelihood", Level.BAD, f"{said}: {worse}", LONGER, own.lower)


def _bracket(found: Likelihoods) -> Finding:
    """Say how wide the bracket of mean log p is, and whether that is wide."""
    widths = [
        f"{row.width:.3g} nats for {name.removeprefix('model, ')}"
        for name, row in found.own.items()
    ]
    said = (
        f"the {100 * CONFIDENCE:g} % bracket of mean log p is {' and '.join(widths)} wide; up to "
        f"{found.most:.3g} nats its ends count as near"
    )
    if found.width > found.most:
        said += f": it is wide, and log p is not known; {_narrower(found)}"
        return Finding("likelihood bracket", Level.NOTE, said, value=found.width)
    if DRAWN not in found.rows:
        said += ": no exact draw of the density is known, so that near ends may both be wrong"
        return Finding("likelihood bracket", Level.NOTE, said, value=found.width)
    return Finding("likelihood bracket", Level.GOOD, said, value=found.width)


def _narrower(found: Likelihoods) -> str:
    """Say what makes the wider bracket wide, and what makes it narrower."""
    row = max(found.own.values(), key=lambda row: row.width)
    count = "" if row.ess is None else f" ({row.ess:.1f} of {found.chains} chains count)"
    if row.apart > row.width / 2:
        what = f"its ends as estimated are {row.apart:.3g} nats apart{count}"
        return f"{what}: give more --likelihood-temperatures"
    what = f"{row.width - row.apart:.3g} nats of it are what chance may have done{count}"
    more = "images" if DRAWN in found.rows else "chains"
    return f"{what}: give more --likelihood-{more}"


def _crossed(found: Likelihoods) -> Finding:
    """Say that estimates from below lie above those from above, which sound chains do not do."""
    each = [
        f"{-found.rows[name].apart:.3g} nats for {name.removeprefix('model, ')} (standard errors "
        f"{found.rows[name].ends.below_error:.2g} and {found.rows[name].ends.above_error:.2g})"
        for name in found.crossed
    ]
    said = (
        f"the ends of mean log p cross by {' and '.join(each)}: more than their errors explain, "
        "and log p is not known"
    )
    if any(found.rows[name].width < 0 for name in found.crossed if name == DRAWN):
        said += ": the chains, the model's draws or its log-density are wrong"
        remedy = "give more --likelihood-temperatures; if the ends still cross, report it"
        return Finding("likelihood bracket", Level.BAD, said, remedy, found.width)
    said += "; give more --likelihood-temperatures and --likelihood-chains"
    return Finding("likelihood bracket", Level.NOTE, said, value=found.width)
