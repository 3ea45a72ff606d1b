"""Hostile `.tfq` files with right checksums: see `python -m lab.hostile --help`."""
