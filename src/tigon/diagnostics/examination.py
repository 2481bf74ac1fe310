"""What a recipe finds out about a learned model by running its chains."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tigon.diagnostics.rules.base import Finding
from tigon.diagnostics.rules.quality import Shows
from tigon.figures import Figure


@dataclass
class Examination:
    """Findings about a model, and what they were seen in.

    Attributes:
        findings: of a run that is long enough; of a shorter one they are notes
        always: findings that hold of a run of any length
        shows: what the model shows of its training images, where that could be seen
        remarks: said in the verdict on a healthy run
        examined: whether chains were run
        figures: draws the figures of the diagnosis
    """

    findings: list[Finding] = field(default_factory=list)
    always: list[Finding] = field(default_factory=list)
    shows: Shows | None = None
    remarks: list[str] = field(default_factory=list)
    examined: bool = False
    figures: Callable[[], list[Figure]] = list
