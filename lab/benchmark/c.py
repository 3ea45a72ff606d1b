"""`python -m lab.benchmark c`: the C of XNOR resnet20 beside BakeNN's int8, a float C and the runtime; one thread, batch 1.

All C is compiled by one compiler with the same flags, at -O2 and at -O3 -march=native. All programs take turns, and a turn gives
the fastest of a few calls of each. BakeNN runs a twin of the float network, with the same multiplications (see `c_twin`). It
and emx-onnx-cgen are in an environment of their own (`--python`); without one they are left out.
"""

import argparse
import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np

from lab.benchmark import builds, c_programs, c_twin, needs
from tfq import c, files
from tfq.arguments import integer, output_file
from tfq.c import compiled
from tfq.graph import file
from tfq.terminal import one_line, table

_NETWORKS = Path("results/sweep/full/networks")
KEYS = ("engine", "flags", "ms", "of_tfq", "flash", "arena")
_OURS, _SCALAR, _BAKENN = "tfq C", "tfq C, scalar", "BakeNN int8"
# Least ratios of BakeNN's time by flags, and most of the runtime's and of flash: the goals.
LEAST_OF_BAKENN = {"O2": 8, "O3 native": 30}
MOST_OF_RUNTIME, MOST_OF_FLASH = 1.5, 1 / 6


def main(arguments) -> int:
    """Measure, print tables, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark c", description=__doc__.splitlines()[0])
    parser.add_argument("--network", metavar="MODEL.tfq", type=Path, default=_NETWORKS / "resnet20_xnor_seed0.tfq")
    parser.add_argument("--float_network", metavar="MODEL.tfq", type=Path, default=_NETWORKS / "resnet20_float_seed0.tfq")
    parser.add_argument("--python", metavar="PATH", help="the Python that has bakenn[tflite] and emx-onnx-cgen")
    parser.add_argument("--old", default=".", help="checkout or revision whose runtime is measured (default: this checkout)")
    parser.add_argument("--turns", type=integer(), default=20, help="turns of each program (default 20)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help=f"write the rows {{{', '.join(KEYS)}}} here")
    options = parser.parse_args(arguments)
    if options.python:
        needs.installed_tensorflow(parser)
    try:
        with contextlib.ExitStack() as stack:
            rows = _measure(options, Path(stack.enter_context(tempfile.TemporaryDirectory())), stack)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        parser.exit(1, f"{parser.prog}: error: {one_line(error)}\n")
    _print(rows)
    if options.json:
        files.write_text(options.json, json.dumps(rows, indent=2) + "\n")
    return 0


def _engines(options, directory):
    written = c.write(file.read(options.network), directory / "ours", "net")
    path, arena = written.paths[0], written.manifest["ram"]["arena"]
    found = [c_programs.ours(_OURS, path, arena), c_programs.ours(_SCALAR, path, arena, ("-DTFQ_SCALAR",))]
    if options.python:
        from tfq.onnx import model

        graph = file.read(options.float_network)
        c_twin.write(graph, directory / "twin.tflite")
        (directory / "float.onnx").write_bytes(model.plain(graph).SerializeToString())
        found.append(c_programs.bakenn(options.python, directory / "twin.tflite", directory / "bakenn"))
        found.append(c_programs.emx(options.python, directory / "float.onnx", directory))
    return found


def _measure(options, directory, stack):
    compiler = compiled.compiler()
    programs = {}
    for engine in _engines(options, directory):
        for flags in c_programs.FLAGS:
            place = directory / "build" / f"{len(programs)}"
            programs[engine, flags] = stack.enter_context(contextlib.closing(c_programs.Program(engine, flags, place, compiler)))
    builds.write_images(options.network, directory / "images.npy")
    place = stack.enter_context(builds.checkout(options.old, directory / "old"))
    runtime = stack.enter_context(contextlib.closing(builds.Build(place, options.network, directory / "images.npy", 1)))
    asked = {(engine.name, flags): program.fastest for (engine, flags), program in programs.items()}
    asked["runtime", "numba"] = lambda calls: 1e3 * min(runtime.ask(calls))
    times = {key: [] for key in asked}
    for _ in range(options.turns):
        for key, ask in asked.items():
            # Slow ones need no more than a call a turn.
            times[key].append(ask(1 if times[key] and times[key][0] > 5 else 10))
    sizes = {(engine.name, flags): (program.flash, engine.arena) for (engine, flags), program in programs.items()}
    medians = {key: float(np.median(taken)) for key, taken in times.items()}
    return [_row(key, medians, sizes.get(key, (None, None))) for key in asked]


def _row(key, medians, sizes):
    own = medians[_OURS, key[1] if key[1] in c_programs.FLAGS else "O3 native"]
    return dict(zip(KEYS, (*key, medians[key], medians[key] / own, *sizes), strict=True))


def _print(rows):
    cells = [
        (row["engine"], row["flags"], f"{row['ms']:.3f}", f"{row['of_tfq']:.2f}", *(_number(row[key]) for key in KEYS[4:]))
        for row in rows
    ]
    print(table(("engine", "flags", "ms", "of tfq C", "flash", "arena"), cells, align="llrrrr"))
    for what, is_met in goals(rows):
        print(f"{what}: {'met' if is_met else 'MISSED'}")


def _number(value):
    return "" if value is None else f"{value:,}"


def goals(rows: list[dict]) -> list[tuple[str, bool]]:
    """Each goal with its figure, and whether it is met."""
    by_key = {(row["engine"], row["flags"]): row for row in rows}
    ratio = 1 / by_key["runtime", "numba"]["of_tfq"]
    found = [(f"C with vectors over the runtime: {ratio:.2f}, at most {MOST_OF_RUNTIME}", ratio <= MOST_OF_RUNTIME)]
    for flags, least in LEAST_OF_BAKENN.items():
        if (_BAKENN, flags) in by_key:
            theirs, own = by_key[_BAKENN, flags], by_key[_OURS, flags]
            ratio, share = theirs["of_tfq"], own["flash"] / theirs["flash"]
            found.append((f"BakeNN's time over ours, {flags}: {ratio:.1f}, at least {least}", ratio >= least))
            found.append(
                (f"flash of ours over BakeNN's, {flags}: {share:.4f}, at most {MOST_OF_FLASH:.4f}", share <= MOST_OF_FLASH)
            )
    return found
