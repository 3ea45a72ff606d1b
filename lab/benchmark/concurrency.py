"""`python -m lab.benchmark concurrency MODEL.tfq`: one network, called from many threads at once, with all sizes of batches.

All results must be, bit for bit, those of calls made before, one image at a time; no call may fail or hang; and the memory of the
process must not grow. An engine of one thread and one of two, one after the other.
"""

import argparse
import json
import math
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from tfq.arguments import output_file, thread_count
from tfq.terminal import one_line

LARGEST_BATCH = 33
# What the peak of the resident set may grow by after the warm-up. A call that leaves 1 KiB behind is over it within 4,096 calls.
GROWTH_MIB = 4
# Of the seconds, the share that the warm-up takes: in it each caller and thread gets its memory.
_WARM_UP = 0.2
_SAMPLE_SECONDS = 0.05
# After the end, how long a call may still take before it counts as hanging.
_PATIENCE_SECONDS = 60
_PROCESS = psutil.Process()


@dataclass
class Outcome:
    """What came of it: counts, and the resident set in MiB.

    `growth_mib` is the peak after the warm-up less the peak of the warm-up.
    """

    threads: int
    callers: int
    seconds: float
    calls: int = 0
    images: int = 0
    wrong: int = 0
    hanging: int = 0
    start_mib: float = 0.0
    end_mib: float = 0.0
    peak_mib: float = 0.0
    growth_mib: float = 0.0
    errors: int = 0
    first_error: str | None = None

    @property
    def violations(self):
        """What must hold and does not, a line each."""
        found = [f"{self.wrong} calls gave other results than a lone call"] if self.wrong else []
        found += [f"{self.hanging} callers did not come back"] if self.hanging else []
        found += [f"{self.errors} calls failed, the first one with {self.first_error}"] if self.errors else []
        found += ["no call was made"] if not self.calls else []
        if self.growth_mib > GROWTH_MIB:
            found.append(f"memory grew by {self.growth_mib:.1f} MiB after the warm-up; allowed are {GROWTH_MIB}")
        return found


def main(arguments):
    """Measure, print, and write the rows where `--json` says; 1 if something that must hold does not."""
    options = _options(arguments)
    from tfq import runtime

    try:
        engines = [runtime.load(options.model, threads) for threads in options.threads]
    except (ValueError, ImportError, OSError) as error:
        print(f"python -m lab.benchmark concurrency: error: {one_line(error)}", file=sys.stderr)
        return 1
    outcomes = [hammer(engine, options.seconds, options.callers) for engine in engines]
    for outcome in outcomes:
        _print(outcome)
    if options.json:
        rows = [{"model": options.model.name, **asdict(outcome), "limit_mib": GROWTH_MIB} for outcome in outcomes]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 1 if any(outcome.violations for outcome in outcomes) else 0


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark concurrency", description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL.tfq", type=Path)
    parser.add_argument("--seconds", type=_seconds, default=60, help="for each number of threads (default 60)")
    parser.add_argument("--callers", type=thread_count, default=8, help="threads that call the engine (default 8)")
    parser.add_argument(
        "--threads", type=thread_count, nargs="+", default=[1, 2], help="threads of the engine itself (default 1 2)"
    )
    parser.add_argument("--json", metavar="PATH", type=output_file, help="write the rows here")
    return parser.parse_args(arguments)


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return seconds


def hammer(engine, seconds, callers):
    """Call an engine from many threads at once.

    Args:
        engine: `tfq.runtime.Engine`.
        seconds: how long.
        callers: number of threads.

    Returns:
        `Outcome`.
    """
    pools = _pools(engine.graph)
    # One image at a time, so that a result that depends on its place in a batch is found.
    work = [(images, np.concatenate([engine.predict(images[i : i + 1]) for i in range(len(images))])) for images in pools]
    outcome = Outcome(engine.threads, callers, seconds, start_mib=resident_mib())
    end = time.monotonic() + seconds
    lock = threading.Lock()
    threads = [
        # Daemons: a caller that hangs shall not keep the process from ending.
        threading.Thread(target=_call, args=(engine, work, np.random.default_rng(seed), end, outcome, lock), daemon=True)
        for seed in range(callers)
    ]
    for thread in threads:
        thread.start()
    _watch(outcome, end)
    for thread in threads:
        thread.join(max(0.0, end + _PATIENCE_SECONDS - time.monotonic()))
    outcome.hanging = sum(thread.is_alive() for thread in threads)
    outcome.end_mib = resident_mib()
    return outcome


def _pools(graph):
    """Images of each kind that the network takes."""
    generator = np.random.default_rng(0)
    shape = (2 * LARGEST_BATCH, *graph.input_shape)
    pools = [generator.standard_normal(shape, np.float32)]
    if graph.pixel_mean is not None:
        pools.append(generator.integers(0, 256, shape, np.uint8))
    return pools


def _call(engine, work, generator, end, outcome, lock):
    while time.monotonic() < end:
        images, wanted = work[generator.integers(len(work))]
        size = int(generator.integers(1, LARGEST_BATCH + 1))
        first = int(generator.integers(0, len(images) - size + 1))
        part = slice(first, first + size)
        error, right = None, False
        try:
            right = np.array_equal(engine.predict(images[part]), wanted[part])
        except Exception as caught:  # whatever it is, it is what is looked for
            error = f"{type(caught).__name__}: {caught}"
        with lock:
            outcome.calls += 1
            outcome.images += size
            if error is not None:
                outcome.errors += 1
                outcome.first_error = outcome.first_error or error
            elif not right:
                outcome.wrong += 1


def _watch(outcome, end):
    """Sample the memory until the end."""
    begin = time.monotonic()
    warm_until = begin + _WARM_UP * (end - begin)
    warm = peak = resident_mib()
    while (now := time.monotonic()) < end:
        size = resident_mib()
        peak = max(peak, size)
        if now < warm_until:
            warm = max(warm, size)
        time.sleep(_SAMPLE_SECONDS)
    outcome.peak_mib, outcome.growth_mib = peak, peak - warm


def resident_mib():
    """Resident set of this process in MiB."""
    return _PROCESS.memory_info().rss / 2**20


def _print(outcome):
    print(
        f"{outcome.callers} callers, engine of {outcome.threads} thread{'s' * (outcome.threads > 1)}, {outcome.seconds:g} s: "
        f"{outcome.calls:,} calls of 1 to {LARGEST_BATCH} images, {outcome.images:,} images, {outcome.wrong} wrong, "
        f"{outcome.errors} errors, {outcome.hanging} hanging"
    )
    print(
        f"  memory: {outcome.start_mib:.1f} MiB at the start, {outcome.end_mib:.1f} at the end, {outcome.peak_mib:.1f} at most; "
        f"{outcome.growth_mib:+.1f} after the warm-up, allowed {GROWTH_MIB}"
    )
    for line in outcome.violations:
        print(f"  VIOLATED: {line}")
