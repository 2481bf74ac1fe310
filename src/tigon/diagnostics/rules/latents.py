"""Findings about whether inferred latents follow the prior, and about other posterior modes."""

from torch import Tensor

from tigon.diagnostics.modes import CLEARLY, ModesProbe
from tigon.diagnostics.probes import FreeRun
from tigon.diagnostics.rules.base import Finding, Level, percent
from tigon.diagnostics.two_samples import MomentsTest, TwoSampleTest
from tigon.errors import CAUSES

DIVERGENCE, DRIFT = 0.1, 0.02  # limits without expansion; with it, which sets the moments
TRAVEL = 0.2
SURE, DOUBTFUL = 1e-3, 1e-2  # p-values
FEW = 50
EXPAND = (
    "images drawn from the prior will be bad even if reconstructions are good: use parameter "
    "expansion (--expand), and no averaged likelihood"
)
UNSETTLED = (
    "images drawn from the prior will be bad even if reconstructions are good, and latents do not "
    "stay where parameter expansion puts them: chains do not sample the posterior (lower "
    "--chains.step-size, or use --chains.kernel mala), or need longer training"
)
SHAPE = (
    "images drawn from the prior come from regions without training images: train for longer, "
    "with a longer annealing of sigma, or with another --latent-dim"
)
ONE_OF_MANY = "these latents are not the only ones that explain an image"
WORSE = (
    "the stored chains of these images are stuck at worse latents: train for longer, with more "
    "annealing of sigma"
)
HARD = (
    "this does not count against the stored chains, but expect the same when you infer latents of "
    "other images: more chains help (tigon reconstruct --starts)"
)


def of_free_run(run: FreeRun, forced: bool) -> list[Finding]:
    """Judge continued chains that are not finite; no findings if they are.

    Arguments:
        forced: see `of_moments`
    """
    if run.latents.isfinite().all():
        return []
    what = (
        f"chains that continue for {run.steps} steps {'without expansion ' if forced else ''}run "
        "away: their points are not finite"
    )
    return [Finding("latents far from the prior", Level.BAD, what, CAUSES["chains"][1])]


def of_moments(test: MomentsTest, run: FreeRun, forced: bool) -> list[Finding]:
    """Judge whether the moments of latents match the prior's.

    Arguments:
        test: test of the latents at the end of `run`
        forced: whether parameter expansion moved latents to the prior's moments in training
    """
    limit = DRIFT if forced else DIVERGENCE
    said = (
        f"{len(run.latents)} inferred latents after {run.steps} steps with the model frozen: mean "
        f"{_range(test.mean)}, standard deviation {_range(test.deviation)}; "
        f"{max(0, test.divergence):.3g} nats per coordinate further from the prior than as many "
        f"of its draws (0 is best; healthy: below {limit:g}, or p above {SURE:g}); likelihood "
        f"ratio {test.statistic:.3g}, that of draws {test.expected:.3g} on average, p = "
        f"{test.p_value:.2g} by simulation; they travelled {run.travel:.2g} of the distance "
        "between two draws from the prior"
    )
    if test.divergence >= limit and test.p_value < SURE:
        far = max(test.mean.abs().max().item(), (test.deviation - 1).abs().max().item())
        remedy = UNSETTLED if forced else EXPAND
        return [Finding("latents far from the prior", Level.BAD, said, remedy, far)]
    if not forced or run.travel >= TRAVEL:
        return [Finding("latent moments", Level.GOOD, said, value=test.divergence)]
    said += (
        f" (healthy: above {TRAVEL:g}): they have hardly left the points to which parameter "
        "expansion moved them, so their moments are no evidence"
    )
    remedy = "see the finding on the latents' distribution, and look at the model's images"
    return [Finding("latent moments", Level.NOTE, said, remedy, test.divergence)]


def of_distribution(test: TwoSampleTest) -> list[Finding]:
    """Judge whether latents are distributed like the prior, beyond mean and covariance."""
    said = f"inferred latents against draws from the prior, both whitened: {_compared(test)}"
    return [_judged("latent distribution", "latents not distributed as the prior", said, test)]


def of_prior_images(test: TwoSampleTest) -> list[Finding]:
    """Judge whether f(z) at inferred latents is distributed like f(z) at draws from the prior."""
    said = (
        "f(z) at inferred latents against f(z) at draws from the prior, using eight features of "
        f"the images: {_compared(test)}"
    )
    return [_judged("images of the prior", "images of the prior are others", said, test)]


def of_modes(probe: ModesProbe) -> list[Finding]:
    """Judge what chains from the prior found, compared with the model's own chains."""
    chains, images = probe.gain.shape
    higher, elsewhere, found, lower = (
        int(part.sum()) for part in (probe.higher, probe.elsewhere, probe.found, probe.lower)
    )
    said = (
        f"{chains} tempered chains from the prior for each of {images} images: for {found} of the "
        f"images, one ended at the image's own chain; for {elsewhere}, one ended equally high at "
        f"another place; for {higher}, clearly higher; for {lower}, all ended clearly lower (by "
        f"more than {CLEARLY:g} standard deviations of the log-density)"
    )
    if higher:
        gain = probe.gain.amax(0)[probe.higher]
        said += f"; higher by {_nats(gain)}"
        return [Finding("latents in a worse mode", Level.BAD, said, WORSE, float(higher))]
    if elsewhere:
        return [Finding("several modes", Level.NOTE, said, ONE_OF_MANY, float(elsewhere))]
    if lower:
        said += f"; lower by {_nats(-probe.gain.amax(0)[probe.lower])}"
        return [Finding("cold inference", Level.NOTE, said, HARD, float(lower))]
    return [Finding("other modes", Level.GOOD, said + ": no other mode was found", value=0.0)]


def _judged(name: str, bad: str, said: str, test: TwoSampleTest) -> Finding:
    if test.p_value < SURE:
        return Finding(bad, Level.BAD, said, SHAPE, test.p_value)
    if test.p_value < DOUBTFUL:
        return Finding(name, Level.NOTE, said, SHAPE, test.p_value)
    return Finding(name, Level.GOOD, said, value=test.p_value)


def _compared(test: TwoSampleTest) -> str:
    power = f"; {test.points} are few: only gross differences would show"
    return (
        f"energy distance {test.distance:.3g} of {test.points} from {test.reference} draws, for "
        f"as many draws {test.expected:.3g} on average, p = {test.p_value:.2g} by simulation "
        f"(healthy: above {percent(DOUBTFUL)}, bad: below {percent(SURE)}"
        f"{power if test.points < FEW else ''})"
    )


def _nats(values: Tensor) -> str:
    low, high = values.min().item(), values.max().item()
    return f"{low:.3g} nats" if low == high else f"{low:.3g} to {high:.3g} nats"


def _range(values: Tensor) -> str:
    numbers = values.tolist()
    if len(numbers) <= 4:
        return ", ".join(f"{round(value, 2) + 0.0:.2f}" for value in numbers)
    return f"{min(numbers):.2f} to {max(numbers):.2f}"
