"""What measurements of a run mean: bands, words, remedies.

The bands are stated here and in docs/diagnostics.md. A finding is bad if the run should not be
trusted as it is, a note if the user should know it, and good if everything is as it should be.
"""
