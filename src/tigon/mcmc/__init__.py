"""Kernels that move points towards a log-density, and the one loop that runs them."""
