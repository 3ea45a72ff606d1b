"""Reads and runs one hostile file after another: the process that may die of it. Writes a record of each to standard output."""

import hashlib
import signal
import struct
import sys
import warnings
from pathlib import Path

import numpy as np

from lab.hostile.graphs import Grower
from tfq.graph.file import FileError, read

# Case, outcome, and a hash of the graph.
RECORD = struct.Struct("<QBQ")
STARTED, REFUSED, ACCEPTED, UNEQUAL, ERROR = range(5)
SECONDS = 20  # of processor time, of a file
_MANY_THREADS = 16  # one file in so many is also run by two threads


def main(seed: int, first: int, last: int, path: Path) -> None:
    """Try the cases from `first` to before `last`; ends by a signal where one takes too long."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    from tfq.runtime.kernels import kernels
    from tfq.runtime.program.routines import NAMES

    kernels().prepare(NAMES)  # what is compiled takes longer than any file may
    for case in range(first, last):
        _say(case, STARTED)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            _say(case, *outcome(seed, case, path))
        except Exception as error:
            print(f"case {case}: {type(error).__name__}: {error}", file=sys.stderr)
            _say(case, ERROR)


def outcome(seed: int, case: int, path: Path) -> tuple[int, int]:
    """What becomes of a file, and a hash of its graph without its weights."""
    rng = np.random.default_rng([seed, case])
    data, text = Grower(rng).file()
    known = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    path.write_bytes(data)
    try:
        graph = read(path)
    except FileError as error:
        _check_line(error)
        return REFUSED, known
    from tfq.graph.check import GraphError
    from tfq.runtime import Engine

    try:
        engine = Engine(graph)
    except GraphError as error:  # one image would need more memory than any network should
        _check_line(error)
        return REFUSED, known
    images = _images(rng, graph)
    results = engine.predict(images)
    again = Engine(graph, threads=2) if case % _MANY_THREADS == 0 else engine
    is_same = np.array_equal(results, again.predict(images), equal_nan=True) and results.shape == (
        len(images),
        *graph.output_shape,
    )
    return ACCEPTED if is_same else UNEQUAL, known


def _images(rng, graph):
    shape = (int(rng.integers(1, 3)), *graph.input_shape)
    if graph.pixel_mean is not None and rng.random() < 0.5:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    images = rng.normal(size=shape).astype(np.float32)
    if rng.random() < 0.1:
        images.ravel()[rng.integers(images.size)] = rng.choice(np.array([np.nan, np.inf, -np.inf, 1e38], np.float32))
    return images


def _check_line(error):
    if "\n" in str(error) or len(str(error)) > 2000:
        raise AssertionError(f"a refusal is one line; got {str(error)[:200]!r}")


def _say(case, what, known=0):
    sys.stdout.buffer.write(RECORD.pack(case, what, known))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), Path(sys.argv[4]))
