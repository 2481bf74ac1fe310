"""Explicit sources of randomness: the noise of a row is a function of its stream's key."""
