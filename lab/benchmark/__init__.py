"""Benchmarks: ratios of interleaved measurements within one run."""
