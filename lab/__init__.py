"""The authors' lab: sweeps, benchmarks and comparisons behind the published figures. Runs in a checkout; not in the wheel."""
