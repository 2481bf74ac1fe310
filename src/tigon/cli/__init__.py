"""The command line: verbs, options, progress and results; the only place that prints."""
