"""The command line: verbs, options, progress and results; the only place that prints."""

CANNOT, DIVERGED, INTERRUPTED = 2, 3, 130  # exit statuses
