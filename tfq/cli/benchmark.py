"""`tfq benchmark FILE.tfq`: latency and throughput of a packed network, beside other files of the same network."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfq.arguments import integer, output_file, thread_count
from tfq.graph import file
from tfq.optional import require_installed
from tfq.speed.subject import engine_of
from tfq.speed.turns import in_turns
from tfq.speed.worker import Worker
from tfq.terminal import one_line, progress, table

KEYS = ("file", "engine", "threads", "batch", "p50_ms", "p95_ms", "images_per_s", "bytes")
# Calls of each file a turn: about as long with many images as with one.
_CALLS_OF_ONE, _CALLS_OF_MANY = 60, 2


def main(arguments: list[str], prog: str = "tfq benchmark") -> int:
    """Measure, print a table, and write the rows where `--json` says; returns the exit status."""
    options = _parser(prog).parse_args(arguments)
    try:
        require_installed("rich")  # for the table, which comes last
        rows = _measure(options)
    except (ValueError, RuntimeError, ImportError, OSError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    print(_table(rows))
    for line in _ratios(rows):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Latency (p50 and p95 of single images) and throughput (batches) of a packed network on this machine's "
        "processor. Each file runs in a process of its own; they are measured in turns, on random images.",
    )
    parser.add_argument("model", metavar="FILE.tfq", type=Path, help="packed network")
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="OTHER",
        type=Path,
        help="files of the same network to measure beside it: .tflite (those of larq-compute-engine too), .keras or .tfq",
    )
    parser.add_argument("--threads", type=thread_count, nargs="+", default=[1], metavar="N", help="(default 1)")
    parser.add_argument("--batch", type=integer(2), default=128, metavar="N", help="images a call for throughput (default 128)")
    parser.add_argument("--repetitions", type=integer(), default=10, metavar="N", help="turns of each file (default 10)")
    parser.add_argument("--json", type=output_file, metavar="PATH", help=f"write the rows {{{', '.join(KEYS)}}} here")
    return parser


def _measure(options: argparse.Namespace) -> list[dict]:
    files = _files([options.model, *options.against])
    shape = _input_shape([path for engine, path in files.values() if engine == "tfq"])
    calls = {1: _CALLS_OF_ONE, options.batch: _CALLS_OF_MANY}
    total = len(options.threads) * len(files) * len(calls) * options.repetitions
    rows = []
    with tempfile.TemporaryDirectory() as directory, progress("measuring", total) as done:
        images = Path(directory) / "images.npy"
        np.save(images, np.random.default_rng(0).standard_normal((options.batch, *shape), np.float32))
        for threads in options.threads:
            workers = _start(files, images, threads)
            try:
                times = in_turns(workers, calls, options.repetitions, done)
            finally:
                for worker in workers.values():
                    worker.close()
            rows += [_row(name, *files[name], threads, batch, taken) for (name, batch), taken in times.items()]
    return rows


def _files(paths: list[Path]) -> dict[str, tuple[str, Path]]:
    """(engine, path) of each file, by a name that no other one has."""
    names = [path.name for path in paths]
    short = len(set(names)) == len(names)
    for path in paths:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
    found = {path.name if short else str(path): (engine_of(path), path) for path in paths}
    if len(found) < len(paths):
        raise ValueError(f"each file must be named once; got {', '.join(map(str, paths))}")
    if found[next(iter(found))][0] != "tfq":
        raise ValueError(f"{paths[0]} must end with .tfq")
    return found


def _input_shape(paths: list[Path]) -> tuple[int, ...]:
    """What an image is, of packed networks that must agree."""
    shapes = {path: file.read(path).input_shape for path in paths}
    if len(set(shapes.values())) > 1:
        taken = "; ".join(f"{path} {shape}" for path, shape in shapes.items())
        raise ValueError(f"the networks must take images of one shape; they take: {taken}")
    return shapes[paths[0]]


def _start(files: dict[str, tuple[str, Path]], images: Path, threads: int) -> dict[str, Worker]:
    workers: dict[str, Worker] = {}
    try:
        for name, (engine, path) in files.items():
            workers[name] = Worker("tfq.speed.subject:Subject", engine, threads)
            workers[name].call("load", path, images)
    except BaseException:
        for worker in workers.values():
            worker.close()
        raise
    return workers


def _row(name: str, engine: str, path: Path, threads: int, batch: int, taken: list[float]) -> dict:
    p50, p95 = (float(value) for value in np.percentile(taken, [50, 95]))
    values = (name, engine, threads, batch, p50, p95, 1e3 * batch / p50, path.stat().st_size)
    return dict(zip(KEYS, values, strict=True))


def _table(rows: list[dict]) -> str:
    heads = ("file", "engine", "threads", "batch", "p50 ms", "p95 ms", "images/s", "bytes")
    formats = ("", "", "", "", ".3f", ".3f", ",.0f", ",")
    cells = [[format(row[key], how) for key, how in zip(KEYS, formats, strict=True)] for row in rows]
    return table(heads, cells, align="ll" + "r" * 6)


def _ratios(rows: list[dict]) -> list[str]:
    """How the first file compares with each other one, at the same number of threads and of images."""
    first = rows[0]["file"]
    base = {(row["threads"], row["batch"]): row["p50_ms"] for row in rows if row["file"] == first}
    return [
        f"{first} is {row['p50_ms'] / base[row['threads'], row['batch']]:.2f} times as fast as {row['file']} "
        f"({row['threads']} thread{'s' * (row['threads'] > 1)}, {row['batch']} image{'s' * (row['batch'] > 1)})"
        for row in rows
        if row["file"] != first
    ]
