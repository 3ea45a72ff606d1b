"""The width of a vector. A file of its own, so that a program can be planned and written without numba."""

LANES = 16  # of 32 bits each
