"""`python -m lab.stress`: kill a tiny training at random, start it again, until it is done; over and over.

A round is one start that is ended by SIGKILL or SIGTERM to one of its processes, at a moment that the seed chooses. After each
round all checkpoints that there are must be readable, no more than the step of the signal lost, and the exit status be one that
docs/distributed.md lists for it. A start that fails before its signal is a round too, and a failure. A run of one process that
comes to its end must equal an undisturbed one, bit for bit, and so must one of two workers, on JAX. The same command goes on
where it was stopped.
"""

import argparse
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np

from lab.stress import job, state, tiny
from tfq import files
from tfq.arguments import integer
from tfq.backends import first_installed

_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
# Seconds: those of a start are spent in imports, those of training in steps, checkpoints and validations.
_IN_START, _IN_TRAINING = 6.0, 2.0
_SHARE_IN_START = 0.1


def main(arguments=None):
    """Run the command; returns its exit status: 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m lab.stress", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--rounds", type=integer(), default=100, help="of each number of workers (default %(default)s)")
    parser.add_argument("--seed", type=integer(0), default=0)
    parser.add_argument("--workers", type=integer(), action="append", help="1, or several on JAX; may be repeated (default: 1)")
    parser.add_argument("--folder", type=Path, default=Path("runs/stress"), help="of the runs (default %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("results/stress.json"), help="what came out (default %(default)s)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that it takes its processes with it
    backend = os.environ.get("KERAS_BACKEND") or first_installed()
    failed = False
    for workers in options.workers or [1]:
        known = _rounds(backend, workers, options)
        failed |= bool(known["failures"])
        print(json.dumps({"backend": backend, "workers": workers} | known))
    return int(failed)


def _rounds(backend, workers, options):
    """All rounds of so many workers; returns what is known of them."""
    name = f"{backend}, {workers} worker{'s' * (workers > 1)}"
    whole, folder = (options.folder / f"{backend}-{workers}-{part}" for part in ("whole", "killed"))
    before = _read(options.json).get(name)
    if before is None or not folder.is_dir():
        before = {"seed": options.seed, "rounds": 0, "signals": {}, "statuses": {}, "complete": 0, "longest": 0.0, "failures": []}
        _new(whole)
        _new(folder)
    if before["seed"] != options.seed:
        raise SystemExit(f"{options.json} is of --seed={before['seed']}; got --seed={options.seed}")
    if not (whole / "run" / "summary.json").exists():
        _train(whole, backend, workers)
    while before["rounds"] < options.rounds:
        _round(before, folder, whole, backend, workers)
        files.write_text(options.json, json.dumps(_read(options.json) | {name: before}, indent=1) + "\n")
    return before


def _round(known, folder, whole, backend, workers):
    """One start and its end; counted where the signal came before the end, or where it ended badly without."""
    rng = np.random.default_rng([known["seed"], workers, known["rounds"], known["complete"]])
    in_training = bool(rng.random() > _SHARE_IN_START)
    seconds = float(rng.uniform(0, _IN_TRAINING if in_training else _IN_START))
    fault = job.Fault(_SIGNALS[rng.integers(2)], int(rng.integers(workers)), in_training, seconds)
    before = state.steps(folder)
    outcome = job.run(folder, backend, workers, fault)
    failures = state.unreadable(folder)
    if not failures and state.steps(folder) < before:
        failures.append(f"{before} steps were in the checkpoint, {state.steps(folder)} are")
    failures += _wrong_ends(outcome, fault)
    # Counted, since the same round would fail in the same way, over and over.
    known["rounds"] += int(outcome.was_hit or any(outcome.statuses))
    if not any(outcome.statuses):
        known["complete"] += 1
        failures += [f"complete, but not as undisturbed: {each}" for each in state.differences(folder, whole)]
    if outcome.was_hit:
        _count(known["signals"], fault.number.name)
        _count(known["statuses"], ",".join(map(str, sorted(outcome.statuses))))
        known["longest"] = round(max(known["longest"], outcome.seconds), 1)
    for each in failures:
        print(f"round {known['rounds']}, {fault}: {each}", file=sys.stderr, flush=True)
        known["failures"].append({"round": known["rounds"], "fault": [*map(str, fault)], "what": each})
    if failures:
        shutil.copytree(folder, folder.with_name(f"{folder.name}-{known['rounds']}"), dirs_exist_ok=True)
    if failures or not any(outcome.statuses):
        _new(folder)


def _wrong_ends(outcome, fault):
    """What is wrong with the ends of the processes."""
    if not outcome.was_hit:
        return [f"exit statuses {outcome.statuses} before the signal"] if any(outcome.statuses) else []
    if outcome.left and fault.in_training:
        return [f"workers {outcome.left} were there after {job.LIMIT} s"]
    before_training = {-fault.number, -signal.SIGKILL} if not fault.in_training else {-fault.number} & {-signal.SIGKILL}
    # A worker that loses another ends with 1. Where the first is gone, or one fell silent on a machine with other work, JAX
    # itself may end the others.
    by_others = {1, -signal.SIGABRT} if len(outcome.statuses) > 1 else set()
    # A job of several listens to JAX alone for SIGTERM, which is gone when Python ends behind the run.
    by_others |= {-signal.SIGTERM} & {-fault.number} if 0 in outcome.statuses else set()
    fine = {0, 75} | before_training | by_others
    return [f"exit statuses {outcome.statuses}"] if {*outcome.statuses} - fine else []


def _train(folder, backend, workers):
    outcome = job.run(folder, backend, workers, None)
    if any(outcome.statuses):
        raise SystemExit(f"the undisturbed run ended with {outcome.statuses}: {(folder / 'output-0.txt').read_text()[-2000:]}")


def _new(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tiny.write_data(folder / "data.npz")


def _count(counts, name):
    counts[name] = counts.get(name, 0) + 1


def _read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
