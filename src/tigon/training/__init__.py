"""The loop over iterations, and what it leaves on the disk."""
