"""The processes of one training, started, hit by a signal, and waited for."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from lab.stress import tiny

# JAX notices a worker that fell silent after 100 seconds. It waits 300 for one that never came, which is ended here, as what
# starts a job again would.
LIMIT, _LIMIT_IN_START = 130, 5
# Most of a start on JAX would be compiling the same again.
_CHEAP = {
    "PYTHONUNBUFFERED": "1",
    "JAX_COMPILATION_CACHE_DIR": str(Path("runs/stress/compiled").absolute()),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
PROGRAM = (sys.executable, "-m", "lab.stress.tiny")  # takes the flags of train.py
_START = 600  # of a process that starts on a machine with other work


class Fault(NamedTuple):
    """What is done to a job: which signal to which worker, and so many seconds after it began to train, or to start."""

    number: signal.Signals
    worker: int
    in_training: bool
    seconds: float


class Outcome(NamedTuple):
    """How a job ended.

    `statuses` are those of its processes, `seconds` from the signal to the end of the last one; `was_hit` says whether the signal
    came before the end, `left` the workers that did not end by themselves.
    """

    statuses: list[int]
    seconds: float
    was_hit: bool
    left: list[int]


def run(folder: Path, backend: str, workers: int, fault: Fault | None) -> Outcome:
    """One start of a job; its output is in `folder`."""
    outputs = [folder / f"output-{worker}.txt" for worker in range(workers)]
    place = _free_address()
    processes = [_start(folder, backend, worker, workers, place, output) for worker, output in enumerate(outputs)]
    try:
        hit_at = None if fault is None else _hit(processes, outputs[0], fault)
        begin = hit_at or time.monotonic()
        limit = _START if hit_at is None else LIMIT if fault.in_training else _LIMIT_IN_START
        left = _wait(processes, begin + limit)
        return Outcome([process.returncode for process in processes], time.monotonic() - begin, hit_at is not None, left)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _start(folder, backend, worker, workers, place, output):
    flags = [*tiny.FLAGS, f"--data_dir={folder / 'data.npz'}", f"--run_dir={folder / 'run'}", f"--backend={backend}"]
    variables = {}
    if workers > 1:
        flags.append("--distribute=data_parallel")
        values = {"JOB_ADDRESSES": place, "NUM_PROCESSES": str(workers), "PROCESS_ID": str(worker)}
        variables = {f"KERAS_DISTRIBUTION_{name}": value for name, value in values.items()}
    with output.open("w") as file:
        return subprocess.Popen(
            [*PROGRAM, *flags],
            env={**os.environ, **_CHEAP, **variables},
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def _hit(processes, output, fault):
    """Send the signal in its time; returns when, or None where a process had ended before."""
    if fault.in_training:
        end = time.monotonic() + _START
        while time.monotonic() < end and _all_run(processes) and "Train:" not in output.read_text(errors="replace"):
            time.sleep(0.02)
    end = time.monotonic() + fault.seconds
    while time.monotonic() < end and _all_run(processes):
        time.sleep(0.005)
    if not _all_run(processes):
        return None
    processes[fault.worker].send_signal(fault.number)
    return time.monotonic()


def _all_run(processes):
    return all(process.poll() is None for process in processes)


def _wait(processes, end):
    """Wait for all; returns those that are still there at the end."""
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        time.sleep(0.02)
    left = [worker for worker, process in enumerate(processes) if process.poll() is None]
    for worker in left:
        processes[worker].kill()
        processes[worker].wait()
    return left


def _free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"
