"""report.html: a self-contained page that shows runs and says what they are."""

from tigon.report.comparison import MOST, write_comparison
from tigon.report.page import render, write_report
from tigon.report.saved import evaluation_figures, is_kept, save_diagnosis, save_figures
from tigon.report.sections import section

__all__ = [
    "MOST",
    "evaluation_figures",
    "is_kept",
    "render",
    "save_diagnosis",
    "save_figures",
    "section",
    "write_comparison",
    "write_report",
]
