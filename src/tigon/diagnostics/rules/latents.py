"""Whether inferred latents are the prior's, and where else a posterior has its mass: findings."""

from torch import Tensor

from tigon.diagnostics.modes import CLEARLY, ModesProbe
from tigon.diagnostics.probes import FreeRun
from tigon.diagnostics.rules.base import Finding, Level, percent
from tigon.diagnostics.two_samples import MomentsTest, TwoSampleTest
from tigon.errors import CAUSES

DIVERGENCE, DRIFT = 0.1, 0.02  # where moments are free; where they began at the prior's
TRAVEL = 0.2
SURE, DOUBTFUL = 1e-3, 1e-2  # p-values
FEW = 50
EXPAND = (
    "images drawn from the prior will be bad though reconstructions are good: use parameter "
    "expansion (--expand), and no averaged likelihood"
)
UNSETTLED = (
    "images drawn from the prior will be bad though reconstructions are good, and latents do not "
    "stay where parameter expansion puts them: chains do not sample the posterior (lower "
    "--chains.step-size, or --chains.kernel mala), or train for longer"
)
SHAPE = (
    "images drawn from the prior come from places where no training image is: train for longer, "
    "or with a longer annealing of sigma, or another --latent-dim"
)
ONE_OF_MANY = "do not read the latents as the only ones that explain an image"
WORSE = (
    "the stored chains of these images are stuck at worse latents: train for longer, with more "
    "annealing of sigma"
)
HARD = (
    "says nothing against the stored chains, but expect the same when the latents of other images "
    "are inferred: more chains help (tigon reconstruct --starts)"
)


def of_free_run(run: FreeRun, forced: bool) -> list[Finding]:
    """Judge chains that went on where they were not finite; nothing where they are.

    Arguments:
        forced: see `of_moments`
    """
    if run.latents.isfinite().all():
        return []
    what = (
        f"chains that go on for {run.steps} steps {'without expansion ' if forced else ''}run "
        "away: their points are not finite"
    )
    return [Finding("latents far from the prior", Level.BAD, what, CAUSES["chains"][1])]


def of_moments(test: MomentsTest, run: FreeRun, forced: bool) -> list[Finding]:
    """Judge whether the moments of latents are the prior's.

    Arguments:
        test: of the latents at the end of `run`
        forced: whether the learner gave latents the prior's moments by parameter expansion
    """
    limit = DRIFT if forced else DIVERGENCE
    said = (
        f"{len(run.latents)} inferred latents after {run.steps} steps with the model frozen: mean "
        f"{_range(test.mean)}, standard deviation {_range(test.deviation)}; "
        f"{max(0, test.divergence):.3g} nats per coordinate further from the prior than as many "
        f"of its draws (0 is best; healthy: below {limit:g}, or p above {SURE:g}); likelihood "
        f"ratio {test.statistic:.3g}, that of draws {test.expected:.3g} on average, p = "
        f"{test.p_value:.2g} by simulation; on the way they travelled {run.travel:.2g} of the "
        "distance between two draws of the prior"
    )
    if test.divergence >= limit and test.p_value < SURE:
        far = max(test.mean.abs().max().item(), (test.deviation - 1).abs().max().item())
        remedy = UNSETTLED if forced else EXPAND
        return [Finding("latents far from the prior", Level.BAD, said, remedy, far)]
    if not forced or run.travel >= TRAVEL:
        return [Finding("latent moments", Level.GOOD, said, value=test.divergence)]
    said += (
        f" (healthy: above {TRAVEL:g}): they are hardly anywhere but where parameter expansion "
        "gave them the prior's moments, so that these are no evidence"
    )
    remedy = "see what is said of the latents' distribution, and look at the model's images"
    return [Finding("latent moments", Level.NOTE, said, remedy, test.divergence)]


def of_distribution(test: TwoSampleTest) -> list[Finding]:
    """Judge whether latents are distributed as the prior is, beyond mean and covariance."""
    said = f"inferred latents against draws of the prior, both whitened: {_compared(test)}"
    return [_judged("latent distribution", "latents not distributed as the prior", said, test)]


def of_prior_images(test: TwoSampleTest) -> list[Finding]:
    """Judge whether f(z) of inferred latents is distributed as f(z) of the prior's draws."""
    said = (
        "f(z) at inferred latents against f(z) at draws of the prior, by eight features of the "
        f"images: {_compared(test)}"
    )
    return [_judged("images of the prior", "images of the prior are others", said, test)]


def of_modes(probe: ModesProbe) -> list[Finding]:
    """Judge what chains from the prior found, against the model's own."""
    chains, images = probe.gain.shape
    higher, elsewhere, found, lower = (
        int(part.sum()) for part in (probe.higher, probe.elsewhere, probe.found, probe.lower)
    )
    said = (
        f"{chains} chains from the prior for each of {images} images, tempered on the way: for "
        f"{found} of the images one came to the place of the image's own chain, for {elsewhere} "
        f"as high at another place, for {higher} clearly higher, for {lower} all ended clearly "
        f"lower (by more than {CLEARLY:g} standard deviations of the log-density)"
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
    return [Finding("other modes", Level.GOOD, said + ": no other was found", value=0.0)]


def _judged(name: str, bad: str, said: str, test: TwoSampleTest) -> Finding:
    if test.p_value < SURE:
        return Finding(bad, Level.BAD, said, SHAPE, test.p_value)
    if test.p_value < DOUBTFUL:
        return Finding(name, Level.NOTE, said, SHAPE, test.p_value)
    return Finding(name, Level.GOOD, said, value=test.p_value)


def _compared(test: TwoSampleTest) -> str:
    power = f"; {test.points} are few: only gross differences would show"
    return (
        f"energy distance {test.distance:.3g} of {test.points} from {test.reference} draws, that "
        f"of as many draws {test.expected:.3g} on average, p = {test.p_value:.2g} by simulation "
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
