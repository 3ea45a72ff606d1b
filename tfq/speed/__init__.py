"""Latency and throughput of network files, each engine in a process of its own, all of them in turns."""
