"""What a diagnosis depends on, to tell whether a saved one is still valid."""

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tigon import __version__
from tigon.data.images import ImageSet
from tigon.runs.run import Run
from tigon.training.checkpoint_folder import checksum, numbered

# What reading a run's JSON file may raise if it is damaged or something else.
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def files_of(run: Run) -> dict[str, str]:
    """Return checksums of the files that change whenever a run goes on."""
    manifests = [path / "manifest.json" for path in numbered(run.checkpoints)]
    sums = {}
    for path in (run.config, run.metrics, run.evaluation, *manifests):
        with suppress(OSError):  # there is none, or it has just been removed
            sums[str(path.relative_to(run.folder))] = checksum(path)
    return sums


def provenance(
    run: Run, images: ImageSet, length: int, seed: int, device: torch.device | str
) -> dict[str, Any]:
    """Return everything that a diagnosis depends on: if it is the same, so are the findings.

    Raises:
        TigonError: if the run has no complete checkpoint
    """
    sums = {
        path.name: checksum(path)
        for path in (run.config, run.metrics, run.evaluation)
        if path.is_file()
    }
    return {
        "tigon": __version__,
        "code": code(),
        "torch": torch.__version__,
        "checkpoint": checksum(run.find() / "manifest.json"),
        "images": images.content(),
        "length": length,
        "seed": seed,
        "device": torch.device(device).type,
        **sums,
    }


@cache
def code() -> str:
    """Return a hash of tigon's own code, which may change within a version."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
