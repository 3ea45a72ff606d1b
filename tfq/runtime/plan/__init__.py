"""What is computed of a network, by which arithmetic, and what together. Nothing here needs numba."""
