"""Programs of the benchmark `c`: the C of each engine, compiled, and asked for the time of a call."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
FLAGS = {"O2": ("-O2",), "O3 native": ("-O3", "-march=native")}
# What else a compiler may write for all of them alike: C11, which BakeNN needs, no fused products, no tables for debuggers.
_ALWAYS = ("-std=c11", "-ffp-contract=off", "-fno-asynchronous-unwind-tables", "-fno-pie")

_OURS = """#include "net.h"
static float in[NET_INPUTS], out[NET_OUTPUTS];
static uint32_t arena[NET_ARENA_BYTES / 4 + 1];
static void start(void) {{ {fill} }}
static void run(void) {{ net_run(in, out, arena); }}
"""
_BAKENN = """#include "bknn_twin.h"
static int8_t in[BKNN_TWIN_INPUT_BYTES], out[BKNN_TWIN_OUTPUT_BYTES];
static _Alignas(16) uint8_t arena[BKNN_TWIN_ARENA_SIZE];
static void start(void) {{ {fill} }}
static void run(void) {{ bknn_twin_infer(arena, in, out); }}
"""
_EMX = """#include <stdbool.h>
bool floatnet_load(const char *path);
void floatnet(const float images[1][32][32][3], float logits[1][10]);
static float in[1][32][32][3], out[1][10];
static void start(void) {{ floatnet_load("{directory}/floatnet.bin"); }}
static void run(void) {{ floatnet(in, out); }}
"""
_FILL = "for (unsigned i = 0; i < sizeof in / sizeof *in; i++) in[i] = (int)(i * 7919u % 201u) - 100;"


@dataclass(frozen=True)
class Engine:
    """The C of an engine.

    Attributes:
        name: of the engine.
        sources: its files.
        adapter: C that calls it.
        arena: bytes of memory that it works in; None where it asks for memory as it runs.
        extra: flags of its own.
        beside: bytes that it reads from a file and that a microcontroller would hold in flash.
    """

    name: str
    sources: tuple[Path, ...]
    adapter: str
    arena: int | None
    extra: tuple[str, ...] = ()
    beside: int = 0


def ours(name: str, path: Path, arena: int, extra: tuple[str, ...] = ()) -> Engine:
    """The C of tfq."""
    return Engine(name, (path,), _OURS.format(fill=_FILL), arena, extra)


def bakenn(python: str, twin: Path, directory: Path) -> Engine:
    """The C of BakeNN."""
    _call([python, str(_HERE / "c_bakenn.py"), str(twin), str(directory)])
    header = (directory / "bknn_twin.h").read_text(encoding="utf-8")
    arena = int(re.search(r"TWIN_ARENA_SIZE (\d+)", header)[1])  # type: ignore[index]
    sources = tuple(directory / f"bknn_twin{part}.c" for part in ("", "_kernels", "_weights"))
    return Engine("BakeNN int8", sources, _BAKENN.format(fill=_FILL), arena)


def emx(python: str, onnx: Path, directory: Path) -> Engine:
    """The C of emx-onnx-cgen, in float."""
    program = Path(python).parent / "emx-onnx-cgen"
    options = ["--input-dim", "batch=1", "--fp32-accumulation-strategy", "simple"]
    _call([str(program), "compile", *options, "--model-name", "floatnet", str(onnx), str(directory / "floatnet.c")])
    beside = (directory / "floatnet.bin").stat().st_size
    return Engine("emx-onnx-cgen float", (directory / "floatnet.c",), _EMX.format(directory=directory), None, (), beside)


class Program:
    """An engine, compiled; it runs until `close`.

    Args:
        engine: `Engine`.
        flags: a key of `FLAGS`.
        directory: where to build it.
        compiler: command of a C compiler.

    Attributes:
        flash: bytes of its code and constants.
    """

    def __init__(self, engine: Engine, flags: str, directory: Path, compiler: list[str]) -> None:
        self._name = engine.name
        directory.mkdir(parents=True)
        adapter = directory / "adapter.h"
        adapter.write_text(engine.adapter)
        common = [*compiler, *_ALWAYS, *FLAGS[flags], *engine.extra, "-I", str(engine.sources[0].parent)]
        objects = [directory / f"{source.stem}.o" for source in engine.sources]
        for source, target in zip(engine.sources, objects, strict=True):
            _call([*common, "-c", str(source), "-o", str(target)])
        program = directory / "program"
        main = [f'-DADAPTER="{adapter}"', str(_HERE / "c_main.c")]
        _call([*common, *main, *map(str, objects), "-no-pie", "-lm", "-o", str(program)])
        self.flash = engine.beside + sum(_size(path) for path in objects)
        self._process = subprocess.Popen([str(program)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def fastest(self, calls: int) -> float:
        """Milliseconds of the fastest of some calls."""
        self._process.stdin.write(f"{calls}\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        answer = self._process.stdout.readline()  # type: ignore[union-attr]
        if not answer:
            raise RuntimeError(f"the program of {self._name} ended with status {self._process.wait()}")
        return int(answer) / 1e6

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _size(path):
    """Bytes of code, constants and initialized data of an object file."""
    text, data = _call(["size", str(path)]).splitlines()[1].split()[:2]
    return int(text) + int(data)


def _call(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise RuntimeError(f"{Path(command[0]).name} failed: {lines[-1]}")
    return done.stdout
