"""The verbs of the command line: each a dataclass of its options, and `run`, which does it."""

from tigon.commands.drawing import Interpolate, Sample
from tigon.commands.exploring import Explore
from tigon.commands.exporting import Export
from tigon.commands.inference import Reconstruct
from tigon.commands.inspection import Diagnose, Report
from tigon.commands.learning import Demo, Resume, Train

__all__ = [
    "Demo",
    "Diagnose",
    "Explore",
    "Export",
    "Interpolate",
    "Reconstruct",
    "Report",
    "Resume",
    "Sample",
    "Train",
]
