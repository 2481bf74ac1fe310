"""A diagnosis: findings, what they were found from, and the verdict."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from tigon.diagnostics.probes import ImageProbe, LatentProbe
from tigon.diagnostics.rules import RECENT, Finding, Level


class Probes(NamedTuple):
    """What came of running a model's chains; None where it has no such chains."""

    latents: LatentProbe | None = None
    images: ImageProbe | None = None


class Told(NamedTuple):
    """A diagnosis in words.

    Attributes:
        healthy: whether the run was long enough to be judged, and nothing bad was found
        verdict: in one sentence, with what it covers
        findings: in the order of their weight
    """

    healthy: bool
    verdict: str
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """How the verdict is shown: a run that is too short to judge is neither good nor bad."""
        bad = any(finding.level is Level.BAD for finding in self.findings)
        return Level.GOOD if self.healthy else Level.BAD if bad else Level.NOTE


@dataclass
class Diagnosis:
    """Findings about a run, and what they were found from.

    Attributes:
        name: of the run
        count: of its logged iterations
        findings: in the order of their weight
        shows: what the model shows of its training images, in words, where that could be seen
        probes: for figures
        shown: training images that were probed, (B, C, H, W), or None
        made_from: what it depends on; None where chains could not be run, or the run went on
            meanwhile
    """

    name: str
    count: int = 0
    findings: list[Finding] = field(default_factory=list)
    shows: list[str] = field(default_factory=list)
    probes: Probes = Probes()
    shown: torch.Tensor | None = None
    made_from: dict[str, Any] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the run was long enough to be judged, and nothing bad was found."""
        return self.count >= RECENT and not self._bad

    @property
    def verdict(self) -> str:
        """The verdict in one sentence: of a healthy run, with what it covers."""
        if self._bad:
            return f"not healthy: {', '.join(self._bad)}"
        if self.count < RECENT:
            iterations = "iteration" if self.count == 1 else "iterations"
            return f"too short to judge ({self.count or 'no'} {iterations})"
        covered = "chains and training" if self.shown is not None else "training alone"
        return "; ".join([f"healthy ({covered})", *self.shows, *self._apart])

    @property
    def _apart(self) -> list[str]:
        """What is said of latents' chains that do not mix; short image chains never do."""
        if self.probes.latents is None:
            return []
        return [
            f"chains do not mix (R-hat {finding.value:.3g}; 1 is best)"
            for finding in self.findings
            if finding.name == "mixing" and finding.level is Level.NOTE
        ]

    @property
    def told(self) -> Told:
        """The diagnosis in words."""
        return Told(self.healthy, self.verdict, self.findings)

    @property
    def _bad(self) -> list[str]:
        return [finding.name for finding in self.findings if finding.level is Level.BAD]

    def to_plain(self) -> dict[str, Any]:
        """Return the diagnosis as a JSON object."""
        return {
            "run": self.name,
            "healthy": self.healthy,
            "verdict": self.verdict,
            "findings": [finding.to_plain() for finding in self.findings],
        }
