"""The directory of a run: what is in it, and whose it is."""

import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from tfq.training import atomic, hardware

# Of a run that went on elsewhere there is more than one.
_PARTS = ("backend", "hardware", "commit")

_PACKAGES = ("keras", "tensorflow", "tf_keras", "jax", "torch", "numpy", "larq", "tensorflow-model-optimization")


class RunDirectoryError(RuntimeError):
    """The directory cannot be used for this run; the message says why."""


class RunDirectory:
    """Names of the files of a run.

    Args:
        path: the directory.
        suffix: ending of the checkpoints, `.keras` or `.h5`.
    """

    def __init__(self, path, suffix=".keras"):
        self.path = Path(path)
        self.flags = self.path / "flags.cfg"
        self.versions = self.path / "versions.json"
        self.history = self.path / "history.csv"
        self.last = self.path / f"last{suffix}"
        self.best = self.path / f"best{suffix}"
        self.tensorboard = self.path / "tensorboard"
        self.curves = self.path / "curves.png"
        self.summary = self.path / "summary.json"
        self.exports = self.path / "export"
        self._lock = None

    def open(self):
        """Make the directory, see that it can be written, and hold it against a second process until this one ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunDirectoryError(f"cannot write to --run_dir={self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunDirectoryError(f"another process is training in --run_dir={self.path}") from error

    def clear(self):
        """Remove what an earlier run left: checkpoints, curves, logs. Files of others stay."""
        checkpoints = (self.last, self.best, self.last.with_stem("previous"))
        for file in (*checkpoints, self.history, self.summary, self.versions, self.curves, self.flags):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.tensorboard, ignore_errors=True)

    def clear_leftovers(self):
        """Remove temporary files of processes that were killed while writing."""
        for file in self.path.glob(".writing-*"):
            file.unlink(missing_ok=True)

    def read_flags(self):
        """The flags of the run that is in the directory, a dictionary of texts; None where there is none."""
        if not self.flags.exists():
            return None
        lines = self.flags.read_text(encoding="utf-8").splitlines()
        return dict(line.removeprefix("--").split("=", 1) for line in lines if line.startswith("--"))

    def write_flags(self, flags):
        """Write flags (names to texts) in the form that `--flagfile` reads."""
        atomic.write_text(self.flags, "".join(f"--{name}={value}\n" for name, value in flags.items()))

    def write_json(self, path, content):
        """Write a JSON file of the run."""
        atomic.write_text(path, json.dumps(content, indent=2) + "\n")

    def write_versions(self, versions):
        """Write `versions.json`; what earlier parts of the run were computed by stays in its lists, in their order."""
        before = self._read_versions()
        lists = {name: _continued(_listed(before.get(name)), _listed(versions.get(name))) for name in _PARTS}
        self.write_json(self.versions, {**before, **versions, **lists})

    def last_backend(self):
        """The backend that the run was last computed on; None where that is not known."""
        backends = _listed(self._read_versions().get("backend"))
        return backends[-1] if backends else None

    def _read_versions(self):
        return json.loads(self.versions.read_text(encoding="utf-8")) if self.versions.exists() else {}


def versions(backend, accelerators=()):
    """What the figures of a run depend on: versions of Python and packages, backend, commit, machine.

    Args:
        backend: its name.
        accelerators: names of the accelerators that it computes on.
    """
    return {
        "backend": backend,
        "hardware": [hardware.describe(accelerators)],
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **{name: version for name in _PACKAGES if (version := _version(name))},
        "tfq": _version("tfq"),
        "commit": _commit(),
    }


def _continued(before, now):
    return before if before[-1:] == now else [*before, *now]


def _listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit():
    # A copy on another machine has to be told: it has no .git, or one that is not of its files.
    if os.environ.get("TFQ_COMMIT"):
        return os.environ["TFQ_COMMIT"]
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
