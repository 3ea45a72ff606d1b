"""Runs jobs one after another within a time budget, each by the command train.py in a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tfq.sweep import result
from tfq.sweep.recipes import TABLE

DONE, FAILED, TIME_IS_UP = 0, 1, 3

_KILL_AFTER = 30  # seconds from asking a process to end


class JobError(RuntimeError):
    """A job cannot be run, or its process failed; the message says why."""


class OutOfTime(Exception):
    """The budget is spent."""


def sweep(jobs, seconds=None, log=print, clock=time.monotonic):
    """Run the jobs that are not finished.

    A run that fails does not end the sweep; those that start from its weights are left out. When the time is up, the run at hand
    is ended: train.py goes on from its last epoch when the sweep is started again.

    Args:
        jobs: what `tfq.sweep.plan.jobs` gave.
        seconds: the budget; None for no limit.
        log: takes lines.
        clock: seconds, as `time.monotonic`.

    Returns:
        `DONE`, `FAILED` where runs are missing, or `TIME_IS_UP`: the exit status.
    """
    deadline = None if seconds is None else clock() + seconds
    failed = 0
    for job in jobs:
        if job.result.exists():
            made = result.read(job.result)
            changed = "".join(f", with {then} where now {now} stands" for then, now in result.changes(job, made))
            log(f"==> {job.name}: {_outcome(made)} (finished before{changed})")
            continue
        try:
            _check_time(deadline, clock)
            run(job, deadline, log, clock)
        except JobError as error:
            failed += 1
            log(f"==> {job.name}: FAILED: {error}")
        except OutOfTime:
            left = sum(not job.result.exists() for job in jobs)
            log(f"==> Time is up with {left} of {len(jobs)} runs to finish: the same command goes on")
            return TIME_IS_UP
    log(f"==> {len(jobs) - failed} of {len(jobs)} runs are finished")
    return FAILED if failed else DONE


def run(job, deadline=None, log=print, clock=time.monotonic):
    """Run one job to its end, and write its result.

    Raises:
        JobError: it failed; the message is its last line.
        ResultError: there is no place for what it leaves.
        OutOfTime: it was ended at the deadline.
    """
    if job.parent:
        _pack_weights(job.parent)
    for name, folder in (("run_root", job.run_dir), ("results", job.result.parent)):
        _make_writable(name, folder)
    output = job.run_dir / "train.log"
    log(f"==> {job.name}: log in {output}")
    with output.open("a", encoding="utf-8") as file:
        status = _wait([sys.executable, "train.py", *job.flags()], file, deadline, clock, _environment(job))
    # With status 2 it refused the flags: what is in the directory is another run.
    if status == 2 or not result.finished(job):
        raise JobError(f"train.py ended with status {status}: {_last_line(output)}")
    made = result.make(job)
    result.write(job.result, made)
    log(f"==> {job.name}: {_outcome(made)}, in {made['seconds'] / 60:.0f} min")
    if job.is_parent and not made["stopped"]:
        _pack_weights(job)
    if made["epochs"] and not job.settings.holdout and job.settings.recipe in TABLE:
        _pack_network(job, made)


def _make_writable(name, folder):
    """Raise before the training where its results have no place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise result.ResultError(f"cannot write to {folder} of --{name}: {error.strerror}") from error


def _pack_network(job, made):
    """Keep the best network of a run as a `.tfq` file, which the export has compared with the checkpoint."""
    with tempfile.TemporaryDirectory(dir=job.run_dir) as folder:
        _call(made, f"{job.name} cannot be packed", "tfq.export", str(job.run_dir), "--formats=tfq", f"--out={folder}")
        job.network.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / "model.tfq", job.network)


def _pack_weights(parent):
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
    _call(made, f"the weights of {parent.name} cannot be packed", "tfq.training.weights", str(checkpoint), str(parent.weights))


def _call(made, failure, module, *arguments):
    """Run a command of tfq on the backend of a run: tf_keras and Keras 3 do not read each other's checkpoints."""
    backend = result.last_backend(made)
    legacy = backend == "tf_keras"
    names = {"KERAS_BACKEND": "tensorflow" if legacy else backend, "TF_USE_LEGACY_KERAS": str(int(legacy))}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env={**os.environ, **names}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise JobError(f"{failure}: {(done.stderr.splitlines() or ['?'])[-1]}")


def _environment(job):
    """What train.py runs in: JAX keeps what it compiled for the next seed, and for the rest of an interrupted run."""
    return {"JAX_COMPILATION_CACHE_DIR": str(job.settings.run_root / "compiled"), **os.environ}


def _wait(command, output, deadline, clock, environment):
    """Exit status of a process, which does not outlive the deadline, nor this one's end by a signal."""
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
    try:
        return process.wait(None if deadline is None else max(0, deadline - clock()))
    except subprocess.TimeoutExpired as error:
        raise OutOfTime from error
    finally:
        _end(process)


def _end(process):
    if process.poll() is not None:
        return
    process.terminate()  # not SIGINT, which a shell's background jobs ignore; checkpoints survive a kill
    try:
        process.wait(_KILL_AFTER)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_on_sigterm():
    """Let SIGTERM end this process as Ctrl-C does, so that it ends the one it started."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _check_time(deadline, clock):
    if deadline is not None and clock() >= deadline:
        raise OutOfTime


def _last_line(path):
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")


def _outcome(made):
    if made["final_top1"] is None:
        return f"stopped: {made['stopped']}"
    text = f"final {made['final_top1']:.2f} %, best {made['best_top1']:.2f} % (epoch {made['best_epoch']})"
    return f"{text}, stopped: {made['stopped']}" if made["stopped"] else text
