"""Sources of randomness, always explicit: the noise of a row is a function of its name."""
