"""What a run computes on, in words."""

import collections
import os
import platform
from collections.abc import Sequence
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def describe(accelerators: Sequence[str] = ()) -> str:
    """The accelerators by name; without any, the processor and the number of cores that this process may use.

    Args:
        accelerators: names, one for each.
    """
    if accelerators:
        counts = collections.Counter(accelerators)
        return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} {'core' if cores == 1 else 'cores'} of {_processor()}"


def _processor():
    """Its model as Linux knows it; elsewhere its architecture. By hand: psutil does not tell a model."""
    lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines() if _CPU_INFO.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
