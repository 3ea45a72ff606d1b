"""The directory of a run: what is in it, and whose it is."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import filelock

from tfq import files
from tfq.files import PathLike
from tfq.training import hardware

# Of a run that went on elsewhere there is more than one.
_PARTS = ("backend", "hardware", "commit")

# The ending of a run's checkpoints depends on its method; what is looked for, or removed, may be of another one.
_SUFFIXES = (".keras", ".h5")

_PACKAGES = ("keras", "tensorflow", "tf_keras", "jax", "torch", "numpy", "larq", "tensorflow-model-optimization")


class RunDirectoryError(RuntimeError):
    """The directory cannot be used for this run; the message says why."""


class RunDirectory:
    """Names of the files of a run.

    Args:
        path: the directory.
        suffix: ending of the checkpoints, `.keras` or `.h5`.
    """

    def __init__(self, path: PathLike, suffix: str = ".keras") -> None:
        self.path = Path(path)
        self.flags = self.path / "flags.cfg"
        self.data = self.path / "data.json"
        self.teacher = self.path / "teacher.json"
        self.versions = self.path / "versions.json"
        self.history = self.path / "history.csv"
        self.last = self.path / f"last{suffix}"
        self.best = self.path / f"best{suffix}"
        self.tensorboard = self.path / "tensorboard"
        self.curves = self.path / "curves.png"
        self.summary = self.path / "summary.json"
        self.exports = self.path / "export"
        self._lock: filelock.BaseFileLock | None = None
        self._claimed: Mapping[str, Any] | None = None

    def copy(self, path: PathLike) -> Self:
        """A directory of a worker's own, with the checkpoints that are here and what they were trained on."""
        own = type(self)(path, self.last.suffix)
        for file in (*self._checkpoints("last", "previous", "best"), self.data, self.teacher):
            if file.exists():
                shutil.copyfile(file, own.path / file.name)
        return own

    def open(self) -> None:
        """Make the directory, see that it can be written, and hold it against a second process until this one ends."""
        # The object keeps the lock, which ends with it, or with the process, however that ends.
        self._lock = filelock.FileLock(self.path / ".lock", blocking=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except filelock.Timeout as error:
            raise RunDirectoryError(f"another process is training in --run_dir={self.path}") from error
        except OSError as error:
            raise RunDirectoryError(f"cannot write to --run_dir={self.path}: {error.strerror}") from error

    def clear(self) -> None:
        """Remove what an earlier run left: checkpoints, curves, logs. Files of others stay."""
        others = (self.history, self.summary, self.versions, self.curves, self.flags, self.data, self.teacher)
        for file in (*self._checkpoints("last", "previous", "best"), *others):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.tensorboard, ignore_errors=True)

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return any(file.exists() for file in self._checkpoints("last", "previous"))

    def has_epochs(self) -> bool:
        """Whether an epoch of a run is left here, or its figures; not so where the run was stopped in its first one."""
        files = (*self._checkpoints("last", "previous", "best"), self.history)
        return any(file.exists() for file in files) or bool(self.read_json(self.summary).get("epochs"))

    def _checkpoints(self, *stems):
        return [self.path / f"{stem}{suffix}" for stem in stems for suffix in _SUFFIXES]

    def clear_leftovers(self) -> None:
        """Remove temporary files of processes that were killed while writing."""
        for file in self.path.glob(".writing-*"):
            file.unlink(missing_ok=True)

    def read_flags(self) -> dict[str, str] | None:
        """The flags of the run that is in the directory, a dictionary of texts; None where there is none."""
        if not self.flags.exists():
            return None
        lines = self.flags.read_text(encoding="utf-8").splitlines()
        return dict(line.removeprefix("--").split("=", 1) for line in lines if line.startswith("--"))

    def write_flags(self, flags: Mapping[str, Any]) -> None:
        """Write flags (names to texts) in the form that `--flagfile` reads."""
        files.write_text(self.flags, "".join(f"--{name}={value}\n" for name, value in flags.items()))

    def claim(self, flags: Mapping[str, Any]) -> None:
        """Say which flags the run goes on with; `begin` writes them, once the data are known to be the run's too."""
        self._claimed = flags

    def begin(self, data: Mapping[str, Any]) -> None:
        """Write the flags of `claim`, and `data.json`.

        Args:
            data: what `tfq.training.run_data.describe` says of the run's data.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self._claimed is not None:
            self.write_flags(self._claimed)
        self.write_json(self.data, data)

    def read_json(self, path: Path) -> dict[str, Any]:
        """What a JSON file of the run holds, a dictionary; empty where it is not there.

        Raises:
            RunDirectoryError: it holds something else.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise RunDirectoryError(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise RunDirectoryError(f"{path} cannot be read: it holds {content!r:.40}")
        return content

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        files.write_text(path, json.dumps(content, indent=2) + "\n")

    def write_versions(self, versions: Mapping[str, Any]) -> None:
        """Write `versions.json`; what earlier parts of the run were computed by stays in its lists, in their order."""
        before = self._read_versions()
        lists = {name: _continued(_listed(before.get(name)), _listed(versions.get(name))) for name in _PARTS}
        self.write_json(self.versions, {**before, **versions, **lists})

    def last_backend(self) -> str | None:
        """The backend that the run was last computed on; None where that is not known."""
        backends = _listed(self._read_versions().get("backend"))
        return backends[-1] if backends else None

    def _read_versions(self):
        return self.read_json(self.versions)


def versions(backend: str, accelerators: Sequence[str] = ()) -> dict[str, Any]:
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
