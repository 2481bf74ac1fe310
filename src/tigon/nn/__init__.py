"""Networks: what stands for f in the densities."""
