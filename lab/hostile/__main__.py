"""`python -m lab.hostile`: read and run hostile `.tfq` files with right checksums.

Each is a graph that nobody would make: operations of all kinds with odd sizes, values at the ends of float32, and JSON changed
at random, but with a right checksum. The reader refuses it in one line, or the runtime runs it twice. A crash, more than 20
seconds of processor time, an exception or two results that differ are failures. The file of a case follows from seed and case.

The same command goes on where it was stopped.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lab.hostile import trial
from tfq import files

_SAVE = 30  # seconds between two writes of what is known
_NAMES = {trial.UNEQUAL: "two results differ", trial.ERROR: "an exception"}


def main(arguments=None):
    """Run the command; returns its exit status: 1 where a file made something fail."""
    parser = argparse.ArgumentParser(prog="python -m lab.hostile", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--count", type=int, default=1_000_000, help="files in all (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--hours", type=float, default=3.0, help="stop after so many, to go on another time (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, default=Path("results/hostile.json"), help="what came out (default %(default)s)")
    parser.add_argument("--seen", type=Path, default=Path("runs/hostile.npy"), help="hashes of accepted graphs, to go on from")
    options = parser.parse_args(arguments)
    record = _Record(options)
    end = time.monotonic() + 3600 * options.hours
    with tempfile.TemporaryDirectory() as folder:
        while record.known["cases"] < options.count and time.monotonic() < end:
            _run(record, options, Path(folder) / "hostile.tfq", end)
    record.write()
    print(json.dumps({name: value for name, value in record.known.items() if name != "failures"}))
    for failure in record.known["failures"]:
        print(f"case {failure['case']}: {failure['what']}")
    return 1 if record.known["failures"] else 0


def _run(record, options, path, end):
    """One process, until all is done, time is over, or it dies."""
    first = record.known["cases"]
    command = [sys.executable, "-m", "lab.hostile.trial", *map(str, (options.seed, first, options.count, path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        running = None
        while packed := process.stdout.read(trial.RECORD.size):
            case, what, known = trial.RECORD.unpack(packed)
            if what == trial.STARTED:
                running = case
                continue
            record.add(case, what, known)
            running = None
            if time.monotonic() > end:
                process.kill()
                return
    if running is not None:
        slow = process.returncode == -signal.SIGPROF
        record.fail(running, f"more than {trial.SECONDS} s" if slow else f"the process ended with {process.returncode}")
    elif process.returncode:
        raise RuntimeError(f"the process of the trials ended with {process.returncode} before its first file")


class _Record:
    """What is known so far, in a file."""

    def __init__(self, options):
        self._options, self._saved = options, time.monotonic()
        self.known = {
            "seed": options.seed,
            "cases": 0,
            "refused": 0,
            "accepted": 0,
            "distinct_accepted": 0,
            "seconds": 0,
            "failures": [],
        }
        self._seen = set()
        if options.json.is_file() and options.seen.is_file():
            self.known = json.loads(options.json.read_text(encoding="utf-8"))
            self._seen = {*np.load(options.seen).tolist()}
        if self.known["seed"] != options.seed:
            raise SystemExit(f"{options.json} is of --seed={self.known['seed']}; got --seed={options.seed}")

    def add(self, case, what, known):
        if what in _NAMES:
            self.fail(case, _NAMES[what])
            return
        self.known["cases"] = case + 1
        self.known["refused" if what == trial.REFUSED else "accepted"] += 1
        if what == trial.ACCEPTED:
            self._seen.add(known)
        if time.monotonic() - self._saved > _SAVE:
            self.write()

    def fail(self, case, what):
        self.known["cases"] = case + 1
        self.known["failures"].append({"case": case, "what": what})
        print(f"case {case}: {what}", file=sys.stderr, flush=True)
        self.write()

    def write(self):
        now = time.monotonic()
        self.known["seconds"] = round(self.known["seconds"] + now - self._saved, 1)
        self._saved = now
        self.known["distinct_accepted"] = len(self._seen)
        self._options.seen.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(self._options.seen) as temporary:
            np.save(temporary, np.fromiter(self._seen, np.uint64, len(self._seen)))
        files.write_text(self._options.json, json.dumps(self.known, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
