"""Runs jobs within a time budget, each by the command train.py in a process of its own."""

import concurrent.futures
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lab.sweep import process, result
from lab.sweep.recipes import TABLE
from tfq import backends
from tfq.training.lines import duration

DONE, FAILED, TIME_IS_UP = 0, 1, 3


class JobError(RuntimeError):
    """A job cannot be run, or its process failed; the message says why."""


def sweep(jobs, seconds=None, log=print, clock=time.monotonic, at_once=1):
    """Run the jobs that are not finished.

    A run that fails does not end the sweep; those that start from its weights are left out. When the time is up, the runs at hand
    are ended: train.py goes on from their last epochs when the sweep is started again.

    Args:
        jobs: what `lab.sweep.plan.jobs` gave.
        seconds: the budget; None for no limit.
        log: takes lines.
        clock: seconds, as `time.monotonic`.
        at_once: runs side by side, which share the processors; one does not fill an accelerator, nor two processors.

    Returns:
        `DONE`, `FAILED` where runs are missing, or `TIME_IS_UP`: the exit status.

    Raises:
        ResultError: there is no place for what a run leaves, or a result is damaged.
    """
    limits = process.Limits(None if seconds is None else clock() + seconds, clock, at_once)
    pool = concurrent.futures.ThreadPoolExecutor(at_once)
    futures = {}
    try:
        for job in jobs:
            futures[job] = pool.submit(_run_unless_finished, job, futures.get(job.parent), limits, log)
        ended, _ = concurrent.futures.wait(futures.values(), return_when=concurrent.futures.FIRST_EXCEPTION)
        outcomes = [future.result() for future in ended]
    finally:
        limits.stop()
        pool.shutdown(cancel_futures=True)
    if TIME_IS_UP in outcomes:
        left = sum(not job.result.exists() for job in jobs)
        log(f"==> Time is up with {left} of {len(jobs)} runs to finish: the same command goes on")
        return TIME_IS_UP
    failed = outcomes.count(FAILED)
    log(f"==> {len(jobs) - failed} of {len(jobs)} runs are finished")
    return FAILED if failed else DONE


def _run_unless_finished(job, parent, limits, log):
    """What became of a job: `DONE`, `FAILED`, or `TIME_IS_UP`."""
    if job.result.exists():
        made = result.read(job.result)
        changed = "".join(f", with {then} where now {now} stands" for then, now in result.changes(job, made))
        log(f"==> {job.name}: {_outcome(made)} (finished before{changed})")
        return DONE
    try:
        if parent:
            parent.result()  # it was started earlier, so that it is not behind this one in the queue
        limits.check()
        run(job, limits, log)
    except JobError as error:
        log(f"==> {job.name}: FAILED: {error}")
        return FAILED
    except process.OutOfTime:
        return TIME_IS_UP
    return DONE


def run(job, limits, log=print):
    """Run one job to its end, and write its result.

    Raises:
        JobError: it failed; the message is its last line.
        ResultError: there is no place for what it leaves.
        lab.sweep.process.OutOfTime: it was ended at the deadline.
    """
    if job.parent:
        _pack_weights(job.parent, limits)
    for name, folder in (("run_root", job.run_dir), ("results", job.result.parent)):
        _make_writable(name, folder)
    output = job.run_dir / "train.log"
    log(f"==> {job.name}: log in {output}")
    with output.open("a", encoding="utf-8") as file:
        # JAX keeps what it compiled for the next seed, and for the rest of an interrupted run.
        environment = {"JAX_COMPILATION_CACHE_DIR": str(job.settings.run_root / "compiled"), **_environment(limits)}
        status = process.run([sys.executable, "train.py", *job.flags()], file, limits, environment)
    # With status 2 it refused the flags: what is in the directory is another run.
    if status == 2 or not result.finished(job):
        raise JobError(f"train.py ended with status {status}: {_last_line(output)}")
    made = result.make(job)
    # The result comes last: once it is there, nothing is done again.
    if made["epochs"] and not job.settings.holdout and job.settings.recipe in TABLE:
        _pack_network(job, made, limits)
    result.write(job.result, made)
    log(f"==> {job.name}: {_outcome(made)}, in {duration(made['seconds'])}")
    if job.is_parent and not made["stopped"]:
        _pack_weights(job, limits)


def _make_writable(name, folder):
    """Raise before the training where its results have no place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise result.ResultError(f"cannot write to {folder} of --{name}: {error.strerror}") from error


def _pack_network(job, made, limits):
    """Keep the best network of a run as a `.tfq` file, which the export has compared with the checkpoint."""
    with tempfile.TemporaryDirectory(dir=job.run_dir) as folder:
        _call(made, f"{job.name} cannot be packed", limits, "tfq.export", str(job.run_dir), "--formats=tfq", f"--out={folder}")
        job.network.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / "model.tfq", job.network)


def _pack_weights(parent, limits):
    """See that the weights of a finished run are where its children look for them."""
    if not parent.result.exists():
        raise JobError(f"it starts from {parent.name}, which is not finished")
    made = result.read(parent.result)
    if made["stopped"]:
        raise JobError(f"it starts from {parent.name}, which was stopped: {made['stopped']}")
    if parent.weights.exists():
        return
    checkpoint = parent.run_dir / "last.keras"
    if not checkpoint.exists():
        raise JobError(
            f"the weights of {parent.name} are neither in {parent.weights} nor in {checkpoint}: remove {parent.result} to train "
            "it again"
        )
    _call(
        made,
        f"the weights of {parent.name} cannot be packed",
        limits,
        "tfq.cli",
        "weights",
        str(checkpoint),
        str(parent.weights),
    )


def _call(made, failure, limits, module, *arguments):
    """Run a command of tfq on the Keras of a run, as tf_keras and Keras 3 do not read each other's checkpoints.

    The backend is the run's too, where it is installed: the run may have come from another machine.
    """
    backend = result.last_backend(made)
    legacy = backend == "tf_keras"
    if not legacy and importlib.util.find_spec(backend) is None:
        backend = backends.first_installed() or backend
    names = {"KERAS_BACKEND": "tensorflow" if legacy else backend, "TF_USE_LEGACY_KERAS": str(int(legacy))}
    with tempfile.NamedTemporaryFile("w+") as output:
        command = [sys.executable, "-m", module, *arguments]
        if process.run(command, output, limits, {**_environment(limits), **names}):
            raise JobError(f"{failure}: {_last_line(Path(output.name))}")


def _environment(limits):
    """What processes run in: side by side, none may take the whole memory of an accelerator."""
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"} if limits.shared else {}
    return {**shared, **os.environ}


def _last_line(path):
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")


def _outcome(made):
    if made["final_top1"] is None:
        return f"stopped: {made['stopped']}"
    text = f"final {made['final_top1']:.2f} %, best {made['best_top1']:.2f} % (epoch {made['best_epoch']})"
    return f"{text}, stopped: {made['stopped']}" if made["stopped"] else text
