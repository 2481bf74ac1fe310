"""Kernels that move points towards a log-density, and the only loop that runs them."""
