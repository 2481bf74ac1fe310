"""Whether a run is healthy, and if not, why and what to do: findings, and a verdict in words.

There are four sources: the guard's events, the metrics, what the recipe finds by running the
learned model's chains, and what the model shows of its training images. A run without a
checkpoint or images is judged by the rest; one of fewer than `RECENT` iterations is described,
not judged.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from tigon.data.images import ImageSet
from tigon.diagnostics.examination import Examination
from tigon.diagnostics.examine import IMAGES
from tigon.diagnostics.quality import missing
from tigon.diagnostics.rules.base import Finding, Level, Record, too_short
from tigon.diagnostics.rules.course import of_events, of_gradient, of_length
from tigon.diagnostics.rules.held_out import of_unmeasured
from tigon.diagnostics.rules.quality import Shows, of_course, of_missing
from tigon.errors import TigonError
from tigon.figures import Figure
from tigon.learners.base import RECENT, Learner
from tigon.learners.metrics import by_name
from tigon.recipes.base import Recipe
from tigon.runs.evaluation import saved_findings
from tigon.runs.provenance import files_of, provenance
from tigon.runs.run import Run

LENGTH, SEED = 10, 0
OVERFLOW = "the network overflows: train again with a lower learning rate, or another network"
F = TypeVar("F")


@dataclass(frozen=True)
class Diagnosis(Generic[F]):
    """Findings about a run, and the verdict.

    Attributes:
        name: the run's name
        healthy: whether the run was long enough to judge and nothing bad was found
        verdict: one sentence, including what it covers
        findings: the findings, most serious first
        figures: traces of the chains that were run, and what they show
        provenance: what it depends on; None if chains could not be run, or the run continued
            meanwhile
    """

    name: str
    healthy: bool = False
    verdict: str = ""
    findings: list[Finding] = field(default_factory=list)
    figures: list[F] = field(default_factory=list)
    provenance: dict[str, Any] | None = None

    @property
    def level(self) -> Level:
        """The verdict's level: a run that is too short to judge is neither good nor bad."""
        return Level.GOOD if self.healthy else Level.BAD if _bad(self.findings) else Level.NOTE

    def to_plain(self) -> dict[str, Any]:
        """Return the diagnosis as a JSON object, without its figures."""
        return {
            "run": self.name,
            "healthy": self.healthy,
            "verdict": self.verdict,
            "findings": [finding.to_plain() for finding in self.findings],
        }


def diagnose(
    run: Run,
    length: int = LENGTH,
    seed: int = SEED,
    device: torch.device | str = "cpu",
    loaded: tuple[Learner, ImageSet] | None = None,
    before: dict[str, str] | None = None,
) -> Diagnosis[Figure]:
    """Judge a run.

    Arguments:
        length: length of the long-run test of images, in training chains, 1 to 100
        seed: seed for the probes' noise
        device: device that the probes run on
        loaded: the run's learner and images, if they are already loaded
        before: `files_of` the run from before these were read, for the provenance
    Raises:
        TigonError: if the folder is not a run
    """
    before = before if loaded else files_of(run)
    records = run.shown_records()
    found = of_events(run.events(), records)
    found += of_length(records, _progress(run, records), run.experiment.recipe.ends_by)
    origin, seen, unmeasured = None, Examination(), list[Finding]()
    try:
        learner, images = loaded or (run.learner(), run.images())
        origin = provenance(run, images, length, seed, device)
    except TigonError as error:
        found.append(Finding("model", Level.NOTE, f"its chains could not be run ({error})"))
    else:
        seen = _examined(run, learner.to(device), images, records, (length, seed))
        unmeasured = [of_unmeasured(len(images.held_out or ()))]
        hidden = missing(images)
        found += [] if hidden is None else [of_missing(hidden)]
    enough = len(records) >= RECENT
    chains = seen.findings if enough else too_short(seen.findings)
    found += [*seen.always, *chains, *metric_findings(run.experiment.recipe, records)]
    measured = saved_findings(run)
    known = measured or unmeasured
    found += known if enough else too_short(known)
    course, falls = _course(run, records, seen.shows)
    found += course
    found.sort(key=lambda finding: finding.level.value)
    covered = [*["chains"] * seen.examined, "training", *["held-out images"] * bool(measured)]
    said = _verdict(found, len(records), seen, falls, covered)
    healthy = enough and not _bad(found)
    same = files_of(run) == before  # otherwise the state it describes is unknown
    return Diagnosis(run.name, healthy, said, found, seen.figures(), origin if same else None)


def _examined(
    run: Run, learner: Learner, images: ImageSet, records: list[Record], how: tuple[int, int]
) -> Examination:
    """Let the recipe run a learner's chains, if its images are finite.

    Arguments:
        how: length of the long-run test, and seed, as in `diagnose`
    """
    if not learner.show(min(IMAGES, len(images))).isfinite().all():
        lost = Finding("model", Level.BAD, "its images are not finite", OVERFLOW)
        return Examination(always=[lost])
    return run.experiment.recipe.examine(learner, images, records, *how)


def metric_findings(recipe: Recipe, records: list[Record]) -> list[Finding]:
    """Judge the logged metrics; those of too short a run are described, not judged."""
    if not records:
        return []
    found = [of_gradient(records), *recipe.judge(records)]
    return found if len(records) >= RECENT else too_short(found)


def _progress(run: Run, records: list[Record]) -> float:
    """Return the run's progress according to its records, in [0, 1]."""
    if not records:
        return 0.0
    last = records[-1]
    done = last["iteration"], last["gradient_evaluations"], last["seconds"]
    return run.experiment.recipe.budget.progress(*done)


def _course(
    run: Run, records: list[Record], shows: Shows | None
) -> tuple[list[Finding], list[str]]:
    """Return whether the recipe's measure, if any, still falls: a finding, and verdict words."""
    name = run.experiment.recipe.measure
    values = [record[name] for record in records if name in record]
    if not values:
        return [], []
    metric = by_name(run.experiment.recipe.metrics, name)
    settling = metric.follows_rate and _slowed(records)
    called, part = metric.title.lower(), shows.part if shows else None
    course = of_course(called, values, part, settling, run.experiment.recipe.ends_by)
    if course is None:
        return [], []
    return [course], [f"the {called} still falls"] if course.level is Level.NOTE else []


def _slowed(records: list[Record]) -> bool:
    """Return whether the learning rate more than halved over the last quarter of a run."""
    rates = [record["learning_rate"] for record in records[-max(1, len(records) // 4) :]]
    return rates[-1] < rates[0] / 2


def _verdict(
    found: list[Finding], count: int, seen: Examination, falls: list[str], covered: list[str]
) -> str:
    """Return the verdict in one sentence; for a healthy run, with what it covers."""
    if bad := _bad(found):
        return f"not healthy: {', '.join(bad)}"
    if count < RECENT:
        iterations = "iteration" if count == 1 else "iterations"
        return f"too short to judge ({count or 'no'} {iterations})"
    *others, last = covered
    said = f"{', '.join(others)} and {last}" if others else f"{last} alone"
    words = [seen.shows.words] if seen.shows else []
    return "; ".join([f"healthy ({said})", *words, *falls, *seen.remarks])


def _bad(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings if finding.level is Level.BAD]
