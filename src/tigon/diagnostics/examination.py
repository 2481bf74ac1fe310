"""What a recipe finds out about a trained model by running its chains."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tigon.diagnostics.rules.base import Finding
from tigon.diagnostics.rules.quality import Shows
from tigon.figures import Figure


@dataclass
class Examination:
    """Findings about a model, and the figures that show them.

    Attributes:
        findings: findings for a run that is long enough; for a shorter one they become notes
        always: findings that are valid for a run of any length
        shows: what the model achieves on its training images, if that could be measured
        remarks: remarks for the verdict on a healthy run
        examined: whether chains were run
        figures: draws the figures of the diagnosis
    """

    findings: list[Finding] = field(default_factory=list)
    always: list[Finding] = field(default_factory=list)
    shows: Shows | None = None
    remarks: list[str] = field(default_factory=list)
    examined: bool = False
    figures: Callable[[], list[Figure]] = list

    def include(self, other: "Examination", of: str) -> None:
        """Add the findings about a part of the model; `of` names the part, as in "of grid 8"."""
        for mine, theirs in ((self.findings, other.findings), (self.always, other.always)):
            mine += [one._replace(name=f"{one.name} {of}") for one in theirs]
