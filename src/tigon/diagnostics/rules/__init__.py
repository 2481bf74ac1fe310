"""What measurements of a run mean: bands, words, remedies.

The bands are stated here and in docs/diagnostics.md. A finding is bad where a run should not be
trusted as it is, a note where the user should know, good where all is as it should be.
"""
