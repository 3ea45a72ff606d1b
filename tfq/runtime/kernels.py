"""The compiled loop over the steps of a program, as Python calls it, and the routines that it calls."""

import ctypes
import threading
import time
from collections.abc import Iterable

import numpy as np

from tfq.runtime import machine_code
from tfq.runtime.arrays import Array, Memory, address
from tfq.runtime.program import routines
from tfq.runtime.program.program import Program
from tfq.runtime.program.steps import NOWHERE, Tile

_P, _N = ctypes.c_void_p, ctypes.c_ssize_t
# Two places for what the function gives back, and the arguments of `compiled.run.run`.
_ARGUMENTS = [_P, _P, _P, _N, _N, _P, _P, _N, _P, _P, _N, _P, _P, _N, _N, _P, _N, _N, _P, _N, _N, _N, _P, _N, _N, _P]
# What a function without a result returns when it ends well.
_ENDED_WELL = (0, -2)


class Kernels:
    """The compiled functions of this process: the loop over steps, and those `routines` that its programs have needed so far.

    Attributes:
        tile: the largest tile whose sums fit the registers that they were compiled for.
        compiled: whether this process compiled any of them, and did not find it on disk.
        seconds: that it took until they were ready.
    """

    def __init__(self) -> None:
        self.compiled, self.seconds = False, 0.0
        self._lock = threading.Lock()
        self._routines = np.zeros(len(routines.NAMES), np.int64)
        loop, tile = self._load(routines.LOOP)
        self.tile = Tile(*tile)
        # A function of ctypes leaves Python's lock to other threads for as long as it runs.
        self._run = ctypes.CFUNCTYPE(ctypes.c_int32, *_ARGUMENTS)(loop)
        self._places = (ctypes.c_void_p * 2)()
        self._returned = [ctypes.addressof(self._places) + i * ctypes.sizeof(_P) for i in range(2)]
        self._table = address(self._routines)

    def prepare(self, names: Iterable[str]) -> None:
        """Make some of the `routines` ready: what is not there yet is read from disk, or compiled.

        Raises:
            ImportError: one is not on disk, and numba is not installed.
        """
        with self._lock:
            for name in names:
                number = routines.NAMES.index(name)
                if not self._routines[number]:
                    self._routines[number], _ = self._load(name)

    def _load(self, name):
        """The address of a function, and the largest tile that goes with it."""
        begin = time.perf_counter()
        code = machine_code.read(name)
        if code is None:
            from tfq.runtime.compiled.routines import machine_code as compile_now

            code, self.compiled = compile_now(name), True
            machine_code.write(name, code)
        at = code.address()
        self.seconds += time.perf_counter() - begin
        return at, code.tile

    def run(
        self, program: Program, rows: Array, memory: Memory, images: np.ndarray, table: Array, outputs: np.ndarray, state: Array,
        worker: int,
    ) -> None:  # fmt: skip
        """See `compiled.run.run`; all arrays are contiguous. `table` is read where images are uint8.

        Where outputs have no columns, the last step writes them where it last did.

        Raises:
            ValueError: rows hold a step, or the number of a tile, that is none of the runtime's.
        """
        at, (count, size) = address(images), images.shape
        to, results = address(outputs), outputs.shape[1]
        target, target_field = program.target, program.target_field if results else NOWHERE
        if target_field != NOWHERE:
            target = memory.position(to)
        floats, pixels, channels = (None, at, len(table.array)) if images.dtype == np.uint8 else (at, None, 0)
        status = self._run(
            *self._returned, *rows.arguments, *memory.arguments, floats, pixels, count, size, table.arguments[0], channels,
            program.source, to, results, target, target_field, *state.arguments, worker, self._table,
        )  # fmt: skip
        if status not in _ENDED_WELL:
            raise ValueError("a step or a tile that is none of the runtime's")


_lock = threading.Lock()
_kernels: list[Kernels] = []


def kernels() -> Kernels:
    """Those of this process. The first one that asks reads the loop from disk, or compiles it.

    Raises:
        ValueError: the environment variable TFQ_ISA names a set of instructions that this processor cannot run.
        ImportError: it is not on disk, and numba is not installed.
    """
    if not _kernels:
        with _lock:
            if not _kernels:
                _kernels.append(Kernels())
    return _kernels[0]


def were_compiled() -> bool:
    """Whether this process has compiled any."""
    return any(ready.compiled for ready in _kernels)
