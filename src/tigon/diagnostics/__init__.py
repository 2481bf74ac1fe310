"""Is a run healthy, and if not, why and what to do: findings, and a verdict in words.

Four sources: what the guard wrote, the metrics, probes that run the learned model's chains, and
what the model shows of its training images. A run without a checkpoint, or whose images are gone,
is judged by what is left; a run of fewer than `RECENT` iterations is told of, and not judged.
"""

from tigon.diagnostics.drawing import pictures
from tigon.diagnostics.judging import LENGTH, SEED, diagnose
from tigon.diagnostics.provenance import files_of, made_from
from tigon.diagnostics.results import Diagnosis, Told

__all__ = [
    "LENGTH",
    "SEED",
    "Diagnosis",
    "Told",
    "diagnose",
    "files_of",
    "made_from",
    "pictures",
]
