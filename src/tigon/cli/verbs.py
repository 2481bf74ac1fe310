"""The verbs of the command line: each is a dataclass of its options, with a `run` method."""

from tigon.cli.drawing import Interpolate, Sample
from tigon.cli.evaluating import Evaluate
from tigon.cli.exploring import Explore
from tigon.cli.exporting import Export
from tigon.cli.inference import Reconstruct
from tigon.cli.inspection import Diagnose, Report
from tigon.cli.learning import Demo, Resume, Train
from tigon.cli.restoring import Restore

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
    "Train",
]
