"""Machine code on disk: written by the first process that compiles it, and loaded by later ones without numba."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfq import files
from tfq.runtime import isa
from tfq.runtime.isa import llvm

_RUNTIME = Path(__file__).parent
_ENDING = ".tfq-code"
_MOST_FILES = 400  # in a folder: up to 27 for each version, set of instructions and setting of numba
# Settings of numba that its code depends on.
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO", "ENABLE_AVX", "CPU_NAME", "CPU_FEATURES")


@dataclass(frozen=True)
class MachineCode:
    """One routine as an object file of this platform, in memory.

    Attributes:
        name: its symbol.
        tile: (positions, vectors) of the largest tile whose sums fit the registers that the code was compiled for.
        content: of the object file.
    """

    name: str
    tile: tuple[int, int]
    content: bytes

    def address(self) -> int:
        """Load the code, for as long as the process lives; returns where the function is."""
        # Each is alone: names within it are those of the process that compiled it, and may mean something else in the next one.
        engine = _engine()
        _loaded.append(engine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(self.content))
        engine.finalize_object()
        return engine.get_function_address(self.name)


_loaded: list[llvm.ExecutionEngine] = []


def _engine():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    # As numba loads its own: on AArch64 with llvmlite's memory, in which parts of one object are near each other.
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=None)


def sources(folder: Path = _RUNTIME) -> list[Path]:
    """All files of the runtime. Some are compiled, others hold what is compiled into them: a list would be forgotten."""
    return sorted(folder.rglob("*.py"))


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 of the contents of some files."""
    result = hashlib.sha256()
    for path in paths:
        result.update(path.read_bytes())
    return result.hexdigest()


@functools.cache
def key() -> str:
    """What the code depends on: sources, versions, processor, settings."""
    forced = isa.forced()
    parts = [
        digest(sources()), _version("llvmlite"), _version("numba"), llvm.get_process_triple(),
        llvm.get_host_cpu_name(), sorted(isa.host_features()), forced and [forced.cpu, forced.flags],
        [os.environ.get(f"NUMBA_{name}") for name in _SETTINGS],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def read(routine: str) -> MachineCode | None:
    """The code of a routine that was kept; None where there is none, or it is damaged or of something else."""
    for folder in _folders():
        path = folder / _file(routine)
        try:
            head, _, content = path.read_bytes().partition(b"\n")
            fields = json.loads(head)
            name, tile, expected = fields["name"], tuple(fields["tile"]), fields["digest"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if expected == _checksum(routine, name, tile, content):
            with contextlib.suppress(OSError):  # a folder of others
                os.utime(path)  # what is forgotten first is what was not used for longest
            return MachineCode(name, tile, content)
    return None


def write(routine: str, code: MachineCode) -> None:
    """Keep the code of a routine, in the first folder that can be written; where none can, later processes compile it again."""
    head = {"name": code.name, "tile": code.tile, "digest": _checksum(routine, code.name, code.tile, code.content)}
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with files.replacing(folder / _file(routine)) as temporary:
                temporary.write_bytes(json.dumps(head).encode() + b"\n" + code.content)
        except OSError:
            continue
        _forget_the_oldest(folder)
        return


def _checksum(routine, name, tile, content):
    parts = [key(), routine, name, list(tile), hashlib.sha256(content).hexdigest()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _file(routine):
    return f"{key()[:32]}-{routine}{_ENDING}"


def _folders() -> Iterator[Path]:
    """Where numba keeps its code: NUMBA_CACHE_DIR, or beside the source, or in the user's folder for such things.

    By hand: numba, which knows it, is what a later start does without, and the runtime does not depend on platformdirs.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(os.environ["NUMBA_CACHE_DIR"])
        return
    yield _RUNTIME / "compiled" / "__pycache__"
    home = Path.home() if "HOME" in os.environ or os.name == "nt" else Path(tempfile.gettempdir())
    if os.name == "nt":
        yield Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "tfq" / "code"
    elif sys.platform == "darwin":
        yield home / "Library" / "Caches" / "tfq" / "code"
    else:
        yield Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "tfq" / "code"


def _forget_the_oldest(folder):
    """Remove what was not used for longest. Another process may do the same at once: what is gone, or stays, is no error."""
    used = {}
    for path in folder.glob(f"*{_ENDING}"):
        with contextlib.suppress(OSError):
            used[path] = path.stat().st_mtime
    for path in sorted(used, key=used.__getitem__, reverse=True)[_MOST_FILES:]:
        with contextlib.suppress(OSError):
            path.unlink()
