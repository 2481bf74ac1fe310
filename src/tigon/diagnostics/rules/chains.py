"""Findings about the chains of a trained model, from probes."""

from tigon.diagnostics.probes import ImageProbe, LatentProbe
from tigon.diagnostics.rules.base import Finding, Level, percent
from tigon.errors import CAUSES
from tigon.learners.abilities import InfersLatents, SynthesisesImages
from tigon.learners.metrics import SATURATION
from tigon.mcmc.langevin import Langevin

COUPLING = 1e-3
RHAT = 1.1
TEMPERATURE = (0.5, 2.0)
CHANGE = 0.25
SMALLEST = 1e-4  # step size
SLOW = (
    "do not read the latents' spread as uncertainty: chains of this length do not cover the "
    "posterior; with fewer latents (--latent-dim) they cover it sooner"
)


def of_step_size(size: float) -> list[Finding]:
    """Judge the step size that all latent chains share."""
    said = (
        f"step size {size:.3g}, in standard deviations of the prior (healthy: above {SMALLEST:g})"
    )
    if size > SMALLEST:
        return [Finding("step size", Level.GOOD, said, value=size)]
    remedy = (
        "chains hardly move: posteriors are too narrow; raise --sigma, or --sigma-floor if it is "
        "learned"
    )
    return [Finding("step size", Level.BAD, said, remedy, size)]


def of_coupling(size: float) -> list[Finding]:
    """Judge how much a chain's gradient depends on the other chains in its batch."""
    if size < COUPLING:
        said = "a chain's gradient does not depend on the other chains in its batch"
        return [Finding("independence", Level.GOOD, said, value=size)]
    said = (
        f"a chain's gradient changes by {percent(size)} of its size with the other chains in its "
        f"batch (healthy: below {percent(COUPLING)})"
    )
    remedy = (
        "batch statistics or an averaged likelihood couple chains: use --network.norm none or "
        "group, and sum the likelihood"
    )
    return [Finding("coupled chains", Level.BAD, said, remedy, size)]


def of_latents(probe: LatentProbe, learner: InfersLatents) -> list[Finding]:
    """Judge parallel chains on the posterior."""
    if not probe.images.isfinite().all():
        return [_lost()]
    own = learner.chains.kernel.temperature  # type: ignore[attr-defined]
    return [
        _mixing(probe, own),
        _temperature(probe.temperature, learner),
        _stay(probe, learner.model.sigma.item()),
    ]


def _mixing(probe: LatentProbe, own: float) -> Finding:
    said = (
        "chains that start near the inferred latents, with "
        f"{probe.states} states per image: split R-hat at most {probe.rhat:.3g} "
        f"(1 is best; healthy: below {RHAT:g}), effective sample size at least {probe.ess:.0f} "
        "(more is better), the worst of latent coordinates and log-density; acceptance "
        f"{probe.accept:.2f}; the gradient of the log-density is {probe.gradient:.3g} per "
        f"coordinate, so posteriors are about {own / max(probe.gradient, 1e-30):.2g} times as "
        "wide as the prior"
    )
    return _mixed(probe.rhat, said, SLOW)


def _temperature(implied: float, learner: InfersLatents) -> Finding:
    kernel = learner.chains.kernel
    own = kernel.temperature  # type: ignore[attr-defined]
    low, high = TEMPERATURE
    said = (
        f"chains at temperature {own:g} move as if at {implied:.3g} (healthy: {low:g} to {high:g} "
        "times their own)"
    )
    if low < implied / own < high:
        return Finding("implied temperature", Level.GOOD, said, value=implied)
    if implied / own <= low:
        remedy = "chains have hardly left their start: see the finding on mixing"
        return Finding("implied temperature", Level.NOTE, said, remedy, implied)
    remedy = "chains have not converged: train for longer"
    if isinstance(kernel, Langevin):
        remedy = "steps are too long for an unadjusted kernel: use --chains.kernel mala"
    return Finding("implied temperature", Level.BAD, said, remedy, implied)


def _stay(probe: LatentProbe, sigma: float) -> Finding:
    limit = max(2 * probe.error_before, 2 * sigma**2 * 0.05)
    said = (
        f"mean squared error of reconstructions {probe.error_before:.4f} before and "
        f"{probe.error_after:.4f} after the long chains (lower is better; healthy: at most "
        f"{limit:.4f} after)"
    )
    stays = probe.error_after <= limit
    remedy = "" if stays else "chains leave the latents that the model was trained with"
    level = Level.GOOD if stays else Level.BAD
    return Finding("long run", level, said, remedy, probe.error_after)


def of_images(probe: ImageProbe, learner: SynthesisesImages) -> list[Finding]:
    """Judge chains that ran for longer than in training."""
    if not probe.after.isfinite().all():
        return [_lost()]
    own = learner.chains.kernel.temperature  # type: ignore[attr-defined]
    return [_long_run(probe), _agreement(probe, own)]


def _long_run(probe: ImageProbe) -> Finding:
    said = (
        f"after chains {probe.length} times as long as in training, the pictures have changed by "
        f"{probe.change:.2g} times the difference between training images (healthy: below "
        f"{CHANGE:g}), and {percent(probe.saturation_after)} of values lie outside [-1, 1] by "
        f"more than 0.1 (healthy: below {percent(SATURATION)}; "
        f"{percent(probe.saturation_before)} before)"
    )
    if probe.change < CHANGE and probe.saturation_after < SATURATION:
        return Finding("long run", Level.GOOD, said, value=probe.change)
    remedy = "this is a sampler with a fixed number of steps, not a density: do not run it longer"
    return Finding("long run", Level.NOTE, said, remedy, probe.change)


def _agreement(probe: ImageProbe, own: float) -> Finding:
    said = (
        f"split R-hat {probe.rhat:.3g} (1 is best; healthy: below {RHAT:g}) and effective sample "
        f"size {probe.ess:.0f} of {probe.states} states (more is better), the worst of "
        f"log-density and image features over {_chains(probe)}; gradient of the "
        f"log-density {probe.gradient:.3g} per dimension, which falls as chains converge; chains "
        f"at temperature {own:g} move as if at {probe.temperature:.3g}"
    )
    return _mixed(
        probe.rhat, said, "chains from different starts do not mix; short chains never do"
    )


def _chains(probe: ImageProbe) -> str:
    """Say which chains are compared."""
    return "chains from different starts" if len(probe.after) > 1 else "quarters of one chain"


def _mixed(rhat: float, said: str, remedy: str) -> Finding:
    if rhat < RHAT:
        return Finding("mixing", Level.GOOD, said, value=rhat)
    return Finding("mixing", Level.NOTE, said, remedy, rhat)


def _lost() -> Finding:
    what = "chains that run for longer than in training run away: their points are not finite"
    return Finding("long run", Level.BAD, what, CAUSES["chains"][1])
