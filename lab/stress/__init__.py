"""Runs that are killed at random and started again: see `python -m lab.stress --help`."""
