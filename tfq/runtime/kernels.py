"""The compiled loop over the steps of a program, as Python calls it."""

import ctypes
import threading
import time

import numpy as np

from tfq.runtime import machine_code
from tfq.runtime.arrays import Array, Memory, address
from tfq.runtime.program.program import Program
from tfq.runtime.program.steps import NOWHERE, Tile

_P, _N = ctypes.c_void_p, ctypes.c_ssize_t
# Two places for what the function gives back, and the arguments of `compiled.run.run`.
_ARGUMENTS = [_P, _P, _P, _N, _N, _P, _P, _N, _P, _P, _N, _P, _P, _N, _N, _P, _N, _N, _P, _N, _N, _N, _P, _N, _N]
# What a function without a result returns when it ends well.
_ENDED_WELL = (0, -2)


class Kernels:
    """The compiled function of this process.

    Attributes:
        tile: the largest tile whose sums fit the registers that it was compiled for.
        compiled: whether this process compiled it, and did not find it on disk.
        seconds: that it took until it was ready.
    """

    def __init__(self) -> None:
        begin = time.perf_counter()
        code, self.compiled = _code()
        self.tile = Tile(*code.tile)
        # A function of ctypes leaves Python's lock to other threads for as long as it runs.
        self._run = ctypes.CFUNCTYPE(ctypes.c_int32, *_ARGUMENTS)(code.address())
        self._places = (ctypes.c_void_p * 2)()
        self._returned = [ctypes.addressof(self._places) + i * ctypes.sizeof(_P) for i in range(2)]
        self.seconds = time.perf_counter() - begin

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
            program.source, to, results, target, target_field, *state.arguments, worker,
        )  # fmt: skip
        if status not in _ENDED_WELL:
            raise ValueError("a step or a tile that is none of the runtime's")


_lock = threading.Lock()
_kernels: list[Kernels] = []


def kernels() -> Kernels:
    """Those of this process: read from disk, or compiled, which takes seconds the first time on a machine.

    Raises:
        ValueError: the environment variable TFQ_ISA names a set of instructions that this processor cannot run.
        ImportError: there is nothing on disk, and numba is not installed.
    """
    if not _kernels:
        with _lock:
            if not _kernels:
                _kernels.append(Kernels())
    return _kernels[0]


def were_compiled() -> bool:
    """Whether this process has compiled them."""
    return any(ready.compiled for ready in _kernels)


def _code():
    """Of this processor, and whether it had to be compiled."""
    code = machine_code.read()
    if code is not None:
        return code, False
    from tfq.runtime.compiled.run import machine_code as compile_now

    code = compile_now()
    machine_code.write(code)
    return code, True
