"""How a run went: what the guard did, its length, and its metrics."""

from statistics import mean, median

from tigon.diagnostics.rules.base import (
    Finding,
    Level,
    Record,
    logged,
    longer,
    percent,
)
from tigon.errors import CAUSES
from tigon.learners.base import RECENT, SILENCE
from tigon.learners.metrics import ACCEPT, GAP, SATURATION, Metric, sampled

GAP_EVER = 5.0
AWAY = 0.5  # fraction of values outside the images' range above which chains have left it
SPREAD = (0.1, 10.0)
GROWTH = 10.0
ENOUGH = 0.98
SLOWER = "lower the learning rate (--optimizer.learning-rate)"


def of_events(events: list[Record], records: list[Record] | None = None) -> list[Finding]:
    """Judge what the guard did.

    Arguments:
        events: events as returned by `Run.events`
        records: records of the iterations before, which may tell more about the cause
    """
    found = []
    stopped = [event for event in events if event["event"] == "stopped"]
    if stopped and stopped[-1] is events[-1]:
        found.append(_stopped(stopped[-1], records or []))
    backs = [event for event in events if event["event"] == "rollback"]
    for cause in dict.fromkeys(event["cause"] for event in backs):
        of_cause = [event for event in backs if event["cause"] == cause]
        what, remedy = _cause(of_cause[-1])
        said = (
            f"the guard rolled back {len(of_cause)} times, last from iteration "
            f"{of_cause[-1]['failed_at']} to {of_cause[-1]['iteration']}: {what}"
        )
        found.append(Finding(f"guard: {cause}", Level.NOTE, said, remedy, len(of_cause)))
    restarts = sum(event["event"] == "restart" for event in events)
    if restarts:
        said = f"the guard restarted lost chains {restarts} times"
        found.append(Finding("guard: lost chains", Level.NOTE, said, value=restarts))
    return found


def _cause(event: Record) -> tuple[str, str]:
    """Return what was wrong, and what to do; other kinds of guards have their own causes."""
    what, remedy = CAUSES.get(event["cause"], (event["message"], ""))
    return str(event.get("what", what)), str(event.get("remedy", remedy))


def _stopped(event: Record, records: list[Record]) -> Finding:
    """Judge how a run ended: a network may overflow on far too large values from its chains."""
    said, remedy = event["message"], _cause(event)[1]
    away = records[-1].get("saturation", 0.0) if records else 0.0
    if event["cause"] == "network" and away > AWAY:
        said += (
            f"; before that, chains had left the images' range ({percent(away)} of their values "
            "lay outside it), so the chains' steps may be the cause, not the network"
        )
        remedy = CAUSES["chains"][1]
    return Finding(f"diverged: {event['cause']}", Level.BAD, said, remedy)


def of_length(
    records: list[Record], progress: float, ends_by: str = "iterations"
) -> list[Finding]:
    """Judge whether a run is long enough and complete, with `progress` in [0, 1].

    Arguments:
        ends_by: the option that ends such a run, as `Recipe.ends_by`
    """
    if not records:
        return [Finding("length", Level.NOTE, "no iteration has been logged")]
    said = f"{logged(records)}, {100 * progress:.0f} % of the run"
    more = "the same tigon train continues it"
    if len(records) < RECENT:
        said += f": too short to judge, since the bands refer to {RECENT} iterations"
        remedy = more if progress < ENOUGH else f"train for longer ({longer(ends_by)})"
        return [Finding("length", Level.NOTE, said, remedy, progress)]
    if progress >= ENOUGH:
        return []
    return [Finding("length", Level.NOTE, said, more, progress)]


def of_gradient(records: list[Record]) -> Finding:
    """Judge whether the network still learns and does not start to diverge."""
    norms = [record["gradient_norm"] for record in records]
    last = norms[-20:]
    if max(last) < SILENCE:
        said = "the network is dead: it had no gradient in the last iterations"
        remedy = f"{SLOWER}, leave the guard on, and start a new run"
        return Finding("dead network", Level.BAD, said, remedy, max(last))
    middle = norms[len(norms) // 3 : 2 * len(norms) // 3] or norms
    ratio = median(last) / max(median(middle), 1e-30)
    said = (
        f"gradient norm of the parameters {median(last):.3g} at the end, {ratio:.2g} times "
        f"that in the middle of the run (healthy: below {GROWTH:g} times; it grows when training "
        "is about to diverge)"
    )
    if ratio < GROWTH:
        return Finding("gradient", Level.GOOD, said, value=ratio)
    return Finding("gradient", Level.BAD, said, SLOWER, ratio)


def of_metric(metric: Metric, records: list[Record]) -> Finding | None:
    """Judge a metric by its healthy band; None if it has no band, or no record has it."""
    recent = [record for record in records[-RECENT:] if metric.name in record]
    if metric.healthy is None or not recent:
        return None
    low, high = metric.healthy
    usual = median(metric.of(record) for record in recent)
    said = (
        f"{metric.label} {usual:.3g}, median of the last {len(recent)} iterations (healthy: "
        f"{low:g} to {high:g})"
    )
    level = Level.GOOD if low <= usual <= high else Level.BAD
    remedy = "" if level is Level.GOOD else SLOWER
    return Finding(metric.title.lower(), level, said, remedy, usual)


def of_gap(gaps: list[float], temperature: float, name: str = "gap") -> list[Finding]:
    """Judge the gaps of all iterations, in nats per dimension of f, given the temperature.

    Arguments:
        name: of the finding
    """
    usual, largest = median(map(abs, gaps[-RECENT:])), max(map(abs, gaps))
    said = (
        f"median |gap| of the last {len(gaps[-RECENT:])} iterations {usual:.3g}, "
        f"at most {largest:.3g} nats per dimension of f, {sampled([usual, largest], temperature)}"
    )
    band = f"(0 is best; healthy: below {GAP:g}, never above {GAP_EVER:g})"
    if usual < GAP and largest < GAP_EVER:
        return [Finding(name, Level.GOOD, f"{said} {band}", value=usual)]
    late = max(map(abs, gaps[len(gaps) // 2 :]))
    level = Level.BAD if usual >= GAP or late >= GAP_EVER else Level.NOTE
    remedy = (
        "lower the learning rate (--optimizer.learning-rate), or use more chain steps "
        "(--chains.steps): the chains do not keep up"
    )
    return [Finding(name, level, f"beyond its band: {said} {band}", remedy, usual)]


def of_saturation(records: list[Record]) -> list[Finding]:
    """Judge the fraction of synthesised values that lie well outside the images' range."""
    part = mean(record["saturation"] for record in records[-RECENT:])
    said = (
        f"{percent(part)} of the synthesised values lie outside [-1, 1] by more than 0.1 (0 is "
        f"best; healthy: below {percent(SATURATION)})"
    )
    if part < SATURATION:
        return [Finding("saturation", Level.GOOD, said, value=part)]
    remedy = CAUSES["chains"][1]
    return [Finding("saturation", Level.BAD, said, remedy, part)]


def of_spread(what: str, remedy: str, records: list[Record]) -> list[Finding]:
    """Judge how much the model's images vary; `what` names them, `remedy` says what to do."""
    spreads = [record["spread"] for record in records[-RECENT:] if "spread" in record]
    if not spreads:
        return []
    usual = median(spreads)
    said = (
        f"{what} vary {usual:.2g} times as much as training images (1 is best; healthy: "
        f"{SPREAD[0]:g} to {SPREAD[1]:g})"
    )
    if SPREAD[0] <= usual <= SPREAD[1]:
        return [Finding("spread", Level.GOOD, said, value=usual)]
    if usual > SPREAD[1]:
        remedy = f"{SLOWER} or, if chains synthesise images, their step size"
    return [Finding("spread", Level.BAD, said, remedy, usual)]


def of_acceptance(records: list[Record], adapts: bool) -> list[Finding]:
    """Judge the acceptance of chains; if `adapts`, their step size follows it."""
    accept = mean(record["accept"] for record in records[-RECENT:])
    low, high = ACCEPT
    said = (
        f"chains accept {accept:.2f} of their proposals (healthy: {low:g} to {high:g}; less if "
        "steps are too long, more if they are too short)"
    )
    if low < accept < high:
        return [Finding("acceptance", Level.GOOD, said, value=accept)]
    remedy = f"{'lower' if accept <= low else 'raise'} --chains.step-size"
    if adapts:
        remedy += ", or raise --chains.gain so that the step size adapts sooner"
    return [Finding("acceptance", Level.BAD, said, remedy, accept)]
