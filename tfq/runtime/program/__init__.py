"""The program of a network: its steps, and the arrays that they read and write. Nothing here needs numba."""
