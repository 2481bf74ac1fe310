"""What measurements of a run mean: bands, words, remedies.

The bands are stated here and in docs/diagnostics.md. A finding is bad where a run should not be
trusted as it is, a note where the user should know, good where all is as it should be.
"""

from enum import Enum
from statistics import mean, median
from typing import Any, NamedTuple

from torch import Tensor

from tigon.errors import CAUSES
from tigon.evaluation.diagnostics import MomentsTest
from tigon.evaluation.probes import ImageProbe, LatentProbe
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner

Record = dict[str, Any]

RECENT = 50
GAP_RECENT, GAP_EVER = 1.0, 5.0
SATURATION = 0.02
SPREAD = 0.1
ACCEPT = (0.15, 0.9)
DIVERGENCE = 0.1
COUPLING = 1e-3
RHAT = 1.1
TEMPERATURE = (0.5, 2.0)
GROWTH = 10.0
ENOUGH = 0.98
SILENCE = 1e-12  # of a gradient


class Level(Enum):
    """How much a finding matters; the order is that of a report."""

    BAD = 0
    NOTE = 1
    GOOD = 2


class Finding(NamedTuple):
    """One thing found out about a run.

    Attributes:
        name: what it is about
        level: bad, note or good
        what: the finding in words, with its numbers
        remedy: what to do, where there is something to do
        value: the number it rests on
    """

    name: str
    level: Level
    what: str
    remedy: str = ""
    value: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return self._asdict() | {"level": self.level.name.lower()}


def of_events(events: list[Record]) -> list[Finding]:
    """Judge what the guard did: `events` as `Run.events` gives them."""
    found = []
    stopped = [event for event in events if event["event"] == "stopped"]
    if stopped and stopped[-1] is events[-1]:
        what, remedy = CAUSES[stopped[-1]["cause"]]
        said = stopped[-1]["message"]
        found.append(Finding(f"diverged: {stopped[-1]['cause']}", Level.BAD, said, remedy))
    backs = [event for event in events if event["event"] == "rollback"]
    for cause in dict.fromkeys(event["cause"] for event in backs):
        of_cause = [event for event in backs if event["cause"] == cause]
        what, remedy = CAUSES[cause]
        said = (
            f"the guard went back {len(of_cause)} times, last from iteration "
            f"{of_cause[-1]['failed_at']} to {of_cause[-1]['iteration']}: {what}"
        )
        found.append(Finding(f"guard: {cause}", Level.NOTE, said, remedy, len(of_cause)))
    restarts = sum(event["event"] == "restart" for event in events)
    if restarts:
        said = f"the guard started lost chains anew {restarts} times"
        found.append(Finding("guard: lost chains", Level.NOTE, said, value=restarts))
    return found


def of_length(records: list[Record], progress: float) -> list[Finding]:
    """Judge whether a run came to its end, `progress` in [0, 1]."""
    if not records:
        return [Finding("length", Level.NOTE, "no iteration has been logged")]
    if progress >= ENOUGH:
        return []
    said = f"{records[-1]['iteration']} iterations are logged, {100 * progress:.0f} % of the run"
    return [Finding("length", Level.NOTE, said, "the same tigon train continues it", progress)]


def of_metrics(records: list[Record], recipe: Any) -> list[Finding]:  # noqa: ANN401
    """Judge the logged metrics."""
    recent = records[-RECENT:]
    found = _growth([record["gradient_norm"] for record in records])
    if "gap" in records[0]:
        found += of_gap([record["gap"] for record in records])
        found += _saturation(mean(record["saturation"] for record in recent))
        found += _spread("synthesised images", CAUSES["collapse"][1], recent)
        return found
    remedy = "images hardly depend on latents: lower the learning rate, or take another --seed"
    found += _spread("reconstructions", remedy, recent)
    if recipe.chains.kernel != "langevin":
        found += _acceptance(mean(record["accept"] for record in recent))
    return found


def of_gap(gaps: list[float]) -> list[Finding]:
    """Judge the gap, in nats per dimension, of all iterations."""
    usual, largest = median(map(abs, gaps[-RECENT:])), max(map(abs, gaps))
    said = (
        f"median |gap| of the last {len(gaps[-RECENT:])} iterations {usual:.3g}, "
        f"at most {largest:.3g} nats per dimension"
    )
    band = f"(healthy: below {GAP_RECENT:g}, never above {GAP_EVER:g})"
    if usual < GAP_RECENT and largest < GAP_EVER:
        return [Finding("gap", Level.GOOD, f"{said} {band}", value=usual)]
    late = max(map(abs, gaps[len(gaps) // 2 :]))
    level = Level.BAD if usual >= GAP_RECENT or late >= GAP_EVER else Level.NOTE
    remedy = "lower the learning rate, or take more chain steps: the chains do not keep up"
    return [Finding("gap", level, f"beyond its band: {said} {band}", remedy, usual)]


def of_moments(test: MomentsTest, count: int) -> list[Finding]:
    """Judge whether inferred latents follow the prior."""
    far = max(abs(test.mean).max(), abs(test.deviation - 1).max())
    said = (
        f"{count} inferred latents: mean {_range(test.mean)}, standard deviation "
        f"{_range(test.deviation)}; {test.divergence:.3g} nats per coordinate from the prior "
        f"(likelihood ratio {test.statistic:.3g} with {test.degrees} degrees of freedom, "
        f"p = {test.p_value:.2g})"
    )
    if test.divergence < DIVERGENCE:
        return [Finding("latent moments", Level.GOOD, said, value=test.divergence)]
    remedy = (
        "images drawn from the prior will be bad though reconstructions are good: use parameter "
        "expansion (--expand), and no averaged likelihood"
    )
    return [Finding("latents far from the prior", Level.BAD, said, remedy, float(far))]


def of_step_sizes(sizes: Tensor) -> list[Finding]:
    """Judge the step sizes of all latent chains."""
    smallest, largest = sizes.min().item(), sizes.max().item()
    said = f"step sizes from {smallest:.3g} to {largest:.3g}, median {sizes.median().item():.3g}"
    if smallest > 1e-4:
        return [Finding("step sizes", Level.GOOD, said, value=smallest)]
    remedy = "some chains hardly move: their posterior is too narrow; raise --sigma"
    return [Finding("step sizes", Level.BAD, said, remedy, smallest)]


def of_coupling(size: float) -> list[Finding]:
    """Judge how much a chain's gradient depends on the others of its batch."""
    if size < COUPLING:
        said = "a chain's gradient does not depend on the other chains of its batch"
        return [Finding("independence", Level.GOOD, said, value=size)]
    said = (
        f"a chain's gradient changes by {100 * size:.3g} % of its size with the "
        "other chains of its batch"
    )
    remedy = (
        "batch statistics or an averaged likelihood couple chains: use --network.norm none or "
        "group, and sum the likelihood"
    )
    return [Finding("coupled chains", Level.BAD, said, remedy, size)]


def of_latents(probe: LatentProbe, learner: GeneratorLearner) -> list[Finding]:
    """Judge parallel chains on the posterior."""
    if not probe.images.isfinite().all():
        return [_lost()]
    found = []
    said = (
        f"split R-hat at most {probe.rhat:.3g}, effective sample size at least {probe.ess:.0f} of "
        f"{probe.states} states, over latent coordinates and log-density of parallel chains; "
        f"acceptance {probe.accept:.2f}; gradient {probe.gradient:.3g} a coordinate"
    )
    level = Level.GOOD if probe.rhat < RHAT else Level.NOTE
    remedy = "" if level is Level.GOOD else "chains need more steps to forget where they began"
    found.append(Finding("mixing", level, said, remedy, probe.rhat))
    own = learner.chains.kernel.temperature  # type: ignore[attr-defined]
    ratio = probe.temperature / own
    said = f"chains at temperature {own:g} move as if at {probe.temperature:.3g}"
    if TEMPERATURE[0] < ratio < TEMPERATURE[1]:
        found.append(Finding("implied temperature", Level.GOOD, said, value=probe.temperature))
    else:
        level = Level.BAD if ratio >= TEMPERATURE[1] else Level.NOTE
        remedy = (
            "steps too long for an unadjusted kernel, or chains that have not settled: use MALA"
        )
        found.append(Finding("implied temperature", level, said, remedy, probe.temperature))
    limit = max(2 * probe.error_before, 2 * learner.sigma**2 * 0.05)
    said = (
        f"mean squared error of reconstructions {probe.error_before:.4f} before and "
        f"{probe.error_after:.4f} after the long chains"
    )
    stays = probe.error_after <= limit
    remedy = "" if stays else "chains leave the latents that the model was learned with"
    found.append(
        Finding("long run", Level.GOOD if stays else Level.BAD, said, remedy, probe.error_after)
    )
    return found


def of_images(probe: ImageProbe, learner: DescriptorLearner) -> list[Finding]:
    """Judge chains that went on beyond the training's length."""
    if not probe.after.isfinite().all():
        return [_lost()]
    stays = probe.change < 0.25 and probe.saturation_after < SATURATION
    said = (
        f"after {probe.length} times the training's chain length the pictures have changed by "
        f"{probe.change:.2g} of the difference between training images, and "
        f"{100 * probe.saturation_after:.3g} % of values lie outside [-1, 1] by more than 0.1 "
        f"({100 * probe.saturation_before:.3g} % before)"
    )
    short = (
        "" if stays else "a sampler of this many steps, not a density: do not run it for longer"
    )
    found = [Finding("long run", Level.GOOD if stays else Level.NOTE, said, short, probe.change)]
    own = learner.chains.kernel.temperature  # type: ignore[attr-defined]
    said = (
        f"split R-hat {probe.rhat:.3g} and effective sample size {probe.ess:.0f} of "
        f"{probe.states} states, the worst of log-density and image features over chains from "
        f"different starts; gradient {probe.gradient:.3g} a dimension; chains at temperature "
        f"{own:g} move as if at {probe.temperature:.3g}"
    )
    mixed = probe.rhat < RHAT
    remedy = "" if mixed else "chains from different starts do not mix: expected of short chains"
    found.append(Finding("mixing", Level.GOOD if mixed else Level.NOTE, said, remedy, probe.rhat))
    return found


def _lost() -> Finding:
    what = "chains that go on for longer than in training run away: their points are not finite"
    return Finding("long run", Level.BAD, what, CAUSES["chains"][1])


def _growth(norms: list[float]) -> list[Finding]:
    if max(norms[-20:]) < SILENCE:
        said = "the network is dead: it has had no gradient for the last iterations"
        remedy = "lower the learning rate, leave the guard on, and start a new run"
        return [Finding("dead network", Level.BAD, said, remedy, max(norms[-20:]))]
    middle = norms[len(norms) // 3 : 2 * len(norms) // 3] or norms
    ratio = median(norms[-20:]) / max(median(middle), 1e-30)
    said = f"gradient norm {median(norms[-20:]):.3g} at the end, {ratio:.2g} times the middle's"
    if ratio < GROWTH:
        return [Finding("gradient", Level.GOOD, said, value=ratio)]
    return [Finding("gradient", Level.BAD, said, "lower the learning rate", ratio)]


def _saturation(part: float) -> list[Finding]:
    said = f"{100 * part:.3g} % of values outside [-1, 1] by more than 0.1"
    if part < SATURATION:
        return [Finding("saturation", Level.GOOD, said, value=part)]
    remedy = "lower the chains' step size or the learning rate"
    return [Finding("saturation", Level.BAD, said, remedy, part)]


def _spread(what: str, remedy: str, recent: list[Record]) -> list[Finding]:
    spreads = [record["spread"] for record in recent if "spread" in record]
    if not spreads:
        return []
    usual = median(spreads)
    said = f"{what} differ among themselves {usual:.2g} times as training images do"
    if usual >= SPREAD:
        return [Finding("spread", Level.GOOD, said, value=usual)]
    return [Finding("spread", Level.BAD, said, remedy, usual)]


def _acceptance(accept: float) -> list[Finding]:
    said = f"acceptance {accept:.2f} (healthy: {ACCEPT[0]:g} to {ACCEPT[1]:g})"
    if ACCEPT[0] < accept < ACCEPT[1]:
        return [Finding("acceptance", Level.GOOD, said, value=accept)]
    remedy = "raise --chains.gain, or set --chains.step-size nearer to what the chains adapt to"
    return [Finding("acceptance", Level.BAD, said, remedy, accept)]


def _range(values: Any) -> str:  # noqa: ANN401
    if len(values) <= 4:
        return ", ".join(f"{value:.2f}" for value in values)
    return f"{min(values):.2f} to {max(values):.2f}"
