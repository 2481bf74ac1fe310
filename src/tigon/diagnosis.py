"""Is a run healthy, and if not, why and what to do: findings, and a verdict in words.

Three sources: what the guard wrote, the metrics, and probes that run the learned model's chains.
A run without a checkpoint, or whose images are gone, is judged by what is left.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from tigon import figures
from tigon.album import Picture
from tigon.data.batches import Batch
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.evaluation import findings as judge
from tigon.evaluation.diagnostics import coupling, moments_test
from tigon.evaluation.findings import Finding, Level
from tigon.evaluation.probes import ImageProbe, LatentProbe, probe_images, probe_latents
from tigon.figures import Pixels
from tigon.learners.base import Learner
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.runs import Run
from tigon.streams import Streams
from tigon.training.iteration import Record

LATENTS, IMAGES = 4, 10
OVERFLOW = "the network overflows: train again with a lower learning rate, or another network"


class Probes(NamedTuple):
    """What came of running a model's chains; None where it has no such chains."""

    latents: LatentProbe | None = None
    images: ImageProbe | None = None


@dataclass
class Diagnosis:
    """Findings about a run, and what they were found from.

    Attributes:
        name: of the run
        findings: in the order of their weight
        probes: for figures
        shown: training images that were probed, (B, C, H, W), or None
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    probes: Probes = Probes()
    shown: torch.Tensor | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing bad was found."""
        return all(finding.level is not Level.BAD for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        bad = [finding.name for finding in self.findings if finding.level is Level.BAD]
        if not bad:
            return "healthy"
        return f"not healthy: {', '.join(bad)}"

    def to_plain(self) -> dict[str, Any]:
        """Return the diagnosis as a JSON object."""
        return {
            "run": self.name,
            "healthy": self.healthy,
            "verdict": self.verdict,
            "findings": [finding.to_plain() for finding in self.findings],
        }


def diagnose(
    run: Run,
    length: int = 10,
    seed: int = 0,
    device: torch.device | str = "cpu",
    loaded: tuple[Learner, ImageSet] | None = None,
) -> Diagnosis:
    """Judge a run.

    Arguments:
        length: of the long-run test of images, in multiples of a training run's chain, 1 to 100
        seed: of the probes' noise
        device: where they run
        loaded: the run's learner and images, where they are at hand
    Raises:
        TigonError: if the folder is no run
    """
    recipe = run.experiment.recipe
    diagnosis = Diagnosis(run.name)
    add = diagnosis.findings.extend
    records = run.records()
    add(judge.of_events(run.events()))
    add(judge.of_length(records, _progress(run, records)))
    try:
        learner, images = loaded or (run.learner(), run.images())
        learner = learner.to(device)
    except TigonError as error:
        add([Finding("model", Level.NOTE, f"its chains could not be run ({error})")])
    else:
        most = LATENTS if isinstance(learner, GeneratorLearner) else IMAGES
        index = torch.arange(min(most, len(images)), device=device)
        batch = Batch(images.read(index).to(device), index)
        if learner.show(len(index)).isfinite().all():
            diagnosis.shown = batch.images
            diagnosis.probes, found = _probe(learner, batch, length, seed)
            add(found)
        else:
            add([Finding("model", Level.BAD, "its images are not finite", OVERFLOW)])
    if records:
        add(judge.of_metrics(records, recipe))
    diagnosis.findings.sort(key=lambda finding: finding.level.value)
    return diagnosis


def _progress(run: Run, records: list[Record]) -> float:
    """Return how far through the run its records go, in [0, 1]."""
    if not records:
        return 0.0
    last = records[-1]
    return run.experiment.recipe.length.progress(last["iteration"], last["gradient_evaluations"])


def _probe(learner: Learner, batch: Batch, length: int, seed: int) -> tuple[Probes, list[Finding]]:
    rng = Streams(seed, 0, batch.index, "diagnose", batch.images.device)
    if isinstance(learner, GeneratorLearner):
        latents = learner.latents()
        found = judge.of_moments(moments_test(latents), len(latents))
        found += judge.of_step_sizes(learner.store.step_size)
        points = learner.store.read(batch.index).points
        probe = probe_latents(learner, batch, rng)
        found += _coupling(learner, batch, points)
        return Probes(latents=probe), found + judge.of_latents(probe, learner)
    assert isinstance(learner, DescriptorLearner)
    long = probe_images(learner, batch, rng, length)
    found = _coupling(learner, batch, long.before)
    return Probes(images=long), found + judge.of_images(long, learner)


def _coupling(learner: Learner, batch: Batch, points: torch.Tensor) -> list[Finding]:
    return judge.of_coupling(coupling(learner, batch, points)) if len(points) > 1 else []


def pictures(diagnosis: Diagnosis) -> list[Picture]:
    """Return the figures of a diagnosis: traces of the probes, and what long chains show."""
    if diagnosis.shown is None:
        return []
    training = ("training images", to_uint8(diagnosis.shown))
    if diagnosis.probes.latents is not None:
        return _of_latents(diagnosis.probes.latents, training)
    assert diagnosis.probes.images is not None
    return _of_images(diagnosis.probes.images, training)


def _of_latents(probe: LatentProbe, training: tuple[str, Pixels]) -> list[Picture]:
    rows = [training, *_shown("after the long chains", probe.images)]
    return [
        Picture(
            "diagnosis-traces",
            "Parallel chains",
            f"Log-density of the latents of {len(probe.images)} training images (a colour each) "
            f"along {probe.log_densities.shape[1]} chains from places around the inferred latent. "
            "Chains of one colour should be one band.",
            figures.traces(probe.log_densities.cpu().double().numpy(), "log-density"),
            f"Line chart of the log-density along {probe.log_densities.shape[1]} chains of each "
            f"of {len(probe.images)} images, those of one image in one colour.",
        ),
        Picture(
            "diagnosis-long-run",
            "After long chains",
            "Training images, and f(z) at the end of these chains.",
            figures.stages(rows),
            _rows_seen(rows),
        ),
    ]


def _shown(label: str, images: torch.Tensor) -> list[tuple[str, Pixels]]:
    """Return a row of images, or none where they are not finite and cannot be shown."""
    return [(label, to_uint8(images))] if images.isfinite().all() else []


def _rows_seen(rows: list[tuple[str, Pixels]]) -> str:
    return f"Rows of {len(rows[0][1])} images: {'; '.join(label for label, _ in rows)}."


def _of_images(probe: ImageProbe, training: tuple[str, Pixels]) -> list[Picture]:
    values = probe.log_densities.cpu().double().numpy()[:, None] / probe.before[0].numel()
    rows = [
        training,
        *_shown("training's chain", probe.before),
        *_shown(f"{probe.length} times as long", probe.after),
    ]
    return [
        Picture(
            "diagnosis-long-run",
            "Long-run test",
            "Training images, what chains of the training's length show, and the same chains "
            f"after {probe.length} times that length. Values outside [-1, 1] are clipped.",
            figures.stages(rows),
            _rows_seen(rows),
        ),
        Picture(
            "diagnosis-traces",
            "Long chains",
            "Log-density along these chains, each in a colour, in nats per dimension. Where it "
            "still climbs, chains are on their way to the density's modes.",
            figures.traces(values, "log-density per dimension", "state kept"),
            f"Line chart of the log-density along {values.shape[2]} chains, from "
            f"{values.min():.3g} to {values.max():.3g} nats per dimension.",
        ),
    ]
