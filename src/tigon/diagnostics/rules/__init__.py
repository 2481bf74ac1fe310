"""What measurements of a run mean: bands, words, remedies.

The bands are stated here and in docs/diagnostics.md. A finding is bad where a run should not be
trusted as it is, a note where the user should know, good where all is as it should be.
"""

from tigon.diagnostics.rules.base import RECENT, Finding, Level, too_short
from tigon.diagnostics.rules.chains import (
    of_coupling,
    of_images,
    of_latents,
    of_step_size,
)
from tigon.diagnostics.rules.course import (
    ACCEPT,
    GAP_RECENT,
    SATURATION,
    of_events,
    of_gap,
    of_length,
    of_metrics,
    sampled,
)
from tigon.diagnostics.rules.latents import (
    of_distribution,
    of_free_run,
    of_modes,
    of_moments,
    of_prior_images,
)
from tigon.diagnostics.rules.quality import (
    Shows,
    falls,
    of_agreement,
    of_course,
    of_reconstructions,
    of_sigma,
)

__all__ = [
    "ACCEPT",
    "GAP_RECENT",
    "RECENT",
    "SATURATION",
    "Finding",
    "Level",
    "Shows",
    "falls",
    "of_agreement",
    "of_coupling",
    "of_course",
    "of_distribution",
    "of_events",
    "of_free_run",
    "of_gap",
    "of_images",
    "of_latents",
    "of_length",
    "of_metrics",
    "of_modes",
    "of_moments",
    "of_prior_images",
    "of_reconstructions",
    "of_sigma",
    "of_step_size",
    "sampled",
    "too_short",
]
