"""The loop over iterations, and what it writes to disk."""
