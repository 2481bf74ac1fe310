"""Networks: the functions f in the densities."""
