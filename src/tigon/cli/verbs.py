"""The verbs of the command line: each is a dataclass of its options, with a `run` method."""

from tigon.cli.drawing import Interpolate, Sample
from tigon.cli.evaluating import Evaluate
from tigon.cli.exploring import Explore
from tigon.cli.exporting import Export
from tigon.cli.inference import Reconstruct
from tigon.cli.inspection import Diagnose, Report
from tigon.cli.learning import Demo, Resume, Train
from tigon.cli.restoring import Restore
from tigon.cli.scoring import Score

__all__ = [
    "Demo",
    "Diagnose",
    "Evaluate",
    "Explore",
    "Export",
    "Interpolate",
    "Reconstruct",
    "Report",
    "Restore",
    "Resume",
    "Sample",
    "Score",
    "Train",
]
