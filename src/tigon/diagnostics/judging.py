"""How a run is judged: its events, its metrics, its chains, and what it shows."""

import torch

from tigon.data.batches import Batch
from tigon.data.images import ImageSet, even_rows
from tigon.diagnostics import rules as judge
from tigon.diagnostics.modes import probe_modes
from tigon.diagnostics.probes import LatentProbe, probe_images, probe_latents, run_free
from tigon.diagnostics.provenance import files_of, made_from
from tigon.diagnostics.quality import MOST, mean_image_distance, reconstructions
from tigon.diagnostics.results import Diagnosis, Probes
from tigon.diagnostics.rules import RECENT, Finding, Level, Shows
from tigon.diagnostics.statistics import coupling, image_features
from tigon.diagnostics.two_samples import features_test, latents_test, moments_test
from tigon.errors import TigonError
from tigon.learners.base import Learner
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.models.cold_start import ColdStart, cold_chains
from tigon.random.streams import RowRng, make_rng
from tigon.runs.run import Run
from tigon.training.iteration import Record

LATENTS, IMAGES = 4, 10
FREE, DECODED, POOL = 500, 128, 768  # chains that go on; images that are compared, of a pool
COLD = ColdStart(starts=3, steps=5)
LENGTH, SEED = 10, 0
OVERFLOW = "the network overflows: train again with a lower learning rate, or another network"


def diagnose(
    run: Run,
    length: int = LENGTH,
    seed: int = SEED,
    device: torch.device | str = "cpu",
    loaded: tuple[Learner, ImageSet] | None = None,
    before: dict[str, str] | None = None,
) -> Diagnosis:
    """Judge a run.

    Arguments:
        length: of the long-run test of images, in multiples of a training run's chain, 1 to 100
        seed: of the probes' noise
        device: where they run
        loaded: the run's learner and images, where they are at hand
        before: `files_of` the run from before these were read, for `made_from`
    Raises:
        TigonError: if the folder is no run
    """
    before = before if loaded else files_of(run)
    recipe, records = run.experiment.recipe, run.records()
    diagnosis = Diagnosis(run.name, len(records))
    add = diagnosis.findings.extend
    add(judge.of_events(run.events(), records))
    add(judge.of_length(records, _progress(run, records)))
    shows = None
    try:
        learner, images = loaded or (run.learner(), run.images())
        diagnosis.made_from = made_from(run, images, length, seed, device)
    except TigonError as error:
        add([Finding("model", Level.NOTE, f"its chains could not be run ({error})")])
    else:
        shows = _add_chains(diagnosis, learner.to(device), images, records, (length, seed))
    if records:
        add(judge.of_metrics(records, recipe))
        _add_course(diagnosis, run, records, shows)
    diagnosis.findings.sort(key=lambda finding: finding.level.value)
    if files_of(run) != before:
        diagnosis.made_from = None  # of which state it is, nobody can say
    return diagnosis


def _add_chains(
    diagnosis: Diagnosis,
    learner: Learner,
    images: ImageSet,
    records: list[Record],
    how: tuple[int, int],
) -> Shows | None:
    """Run a learner's chains and judge them; returns what the model shows of its images.

    Arguments:
        how: length of the long-run test and seed, as in `diagnose`
    """
    device = next(learner.parameters()).device
    index = torch.arange(min(_most(learner), len(images)), device=device)
    batch = Batch(images.read(index).to(device), index)
    if not learner.show(len(index)).isfinite().all():
        diagnosis.findings.append(
            Finding("model", Level.BAD, "its images are not finite", OVERFLOW)
        )
        return None
    diagnosis.shown = batch.images
    diagnosis.probes, found = _probe(learner, batch, *how)
    if isinstance(learner, GeneratorLearner):
        index = even_rows(len(images), FREE).to(device)
        many = Batch(images.read(index).to(device), index)
        found += prior_findings(learner, many, how[1])
    shows, more = _shows(learner, images, records)
    found += [*more, *([shows.finding] if shows else [])]
    diagnosis.findings += _coupling(learner, batch, diagnosis.probes)
    diagnosis.findings += found if len(records) >= RECENT else judge.too_short(found)
    return shows


def _progress(run: Run, records: list[Record]) -> float:
    """Return how far through the run its records go, in [0, 1]."""
    if not records:
        return 0.0
    last = records[-1]
    return run.experiment.recipe.length.progress(last["iteration"], last["gradient_evaluations"])


def _most(learner: Learner) -> int:
    return LATENTS if isinstance(learner, GeneratorLearner) else IMAGES


def _probe(learner: Learner, batch: Batch, length: int, seed: int) -> tuple[Probes, list[Finding]]:
    rng = RowRng(seed, 0, batch.index, "diagnose")
    if isinstance(learner, GeneratorLearner):
        probe = probe_latents(learner, batch, rng)
        found = judge.of_step_size(learner.step_size) + judge.of_latents(probe, learner)
        if probe.images.isfinite().all():
            found += mode_findings(learner, batch, probe, seed)
        return Probes(latents=probe), found
    assert isinstance(learner, DescriptorLearner)
    long = probe_images(learner, batch, rng, length)
    return Probes(images=long), judge.of_images(long, learner)


def mode_findings(
    learner: GeneratorLearner, batch: Batch, own: LatentProbe, seed: int
) -> list[Finding]:
    """Bring chains from the prior to these images, and judge what they find.

    Arguments:
        batch: the images of `own`
        own: chains around their inferred latents
        seed: of the noise
    """
    chains = range(len(batch.index) * COLD.starts)
    rng = RowRng(seed, 0, chains, "diagnose from the prior")
    begin = cold_chains(learner.model, batch.images, rng, COLD).x
    return judge.of_modes(probe_modes(learner, batch, own, begin, rng))


def prior_findings(learner: GeneratorLearner, batch: Batch, seed: int) -> list[Finding]:
    """Judge whether latents, and what they decode to, are distributed as the prior is.

    Arguments:
        batch: images that the learner has chains for
        seed: of the noise
    """
    device = learner.like.device
    run = run_free(learner, batch, RowRng(seed, 0, batch.index, "diagnose freely"))
    if lost := judge.of_free_run(run, learner.expand):
        return lost
    rng = make_rng("diagnose the prior", seed, device=device)

    def draw(count: int) -> torch.Tensor:
        return learner.model.latents(count, rng, learner.like)

    def shown(latents: torch.Tensor) -> torch.Tensor:
        return image_features(learner.decode(latents))

    some = run.latents[even_rows(len(run.latents), DECODED).to(device)]
    alike = features_test(shown(some), shown(draw(POOL)), make_rng("diagnose images", seed))
    return [
        *judge.of_moments(moments_test(run.latents), run, learner.expand),
        *judge.of_distribution(latents_test(run.latents, draw)),
        *judge.of_prior_images(alike),
    ]


def _coupling(learner: Learner, batch: Batch, probes: Probes) -> list[Finding]:
    """Judge whether chains are independent, which a run of any length shows."""
    if len(batch.index) < 2:
        return []
    if isinstance(learner, GeneratorLearner):
        return judge.of_coupling(coupling(learner, batch, learner.store.read(batch.index)))
    assert probes.images is not None
    return judge.of_coupling(coupling(learner, batch, probes.images.before))


def _shows(
    learner: Learner, images: ImageSet, records: list[Record]
) -> tuple[Shows | None, list[Finding]]:
    """Judge what the model shows of some hundred training images, and its noise around it."""
    device = next(learner.parameters()).device
    index = even_rows(len(images), MOST).to(device)
    batch = Batch(images.read(index).to(device), index, among=len(images))
    if isinstance(learner, GeneratorLearner):
        found, sigma = reconstructions(learner, batch), learner.model.sigma.item()
        noise = judge.of_sigma(sigma, found.residual, learner.noise is not None)
        return judge.of_reconstructions(found), [noise]
    return judge.of_agreement(records, mean_image_distance(batch)), []


def _add_course(
    diagnosis: Diagnosis, run: Run, records: list[Record], shows: Shows | None
) -> None:
    """Say whether the learner's measure still falls, and put in words what the model shows."""
    name = "energy_distance" if "gap" in records[0] else "seed_loss"
    values = [record[name] for record in records if name in record]
    part = shows.part if shows else None
    settling = "gap" in records[0] and _slowed(records)
    course = judge.of_course(name.replace("_", " "), values, part, settling)
    if course is not None:
        diagnosis.findings.append(course)
    diagnosis.shows += [shows.words] if shows else []
    if course is not None and course.level is Level.NOTE:
        diagnosis.shows.append(f"the {name.replace('_', ' ')} still falls")


def _slowed(records: list[Record]) -> bool:
    """Return whether the learning rate fell to less than half over the last quarter of a run."""
    rates = [record["learning_rate"] for record in records[-max(1, len(records) // 4) :]]
    return rates[-1] < rates[0] / 2
