"""`python -m lab.benchmark infer`: latency, throughput, size and accuracy of a network on each engine, on CPUs.

tfq and larq-compute-engine run the quantized network; TFLite (float32 and int8, XNNPACK), OpenVINO (float32, int8 by NNCF) and
Keras the plain float network of the same architecture. OpenVINO takes part where it is installed: `pip install openvino nncf`.
Each engine is a process of its own; they are measured in turns.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from lab.benchmark import infer_plot, needs, openvino_model
from models.networks import NETWORKS
from tfq.arguments import integer, output_file, picture_file, thread_count
from tfq.speed.turns import in_turns
from tfq.speed.worker import Worker
from tfq.terminal import one_line, progress, table

# Batch sizes, and calls of each engine a turn.
CALLS = {1: 60, 128: 2}
KEYS = ("engine", "model", "method", "threads", "batch", "p50_ms", "p95_ms", "images_per_s", "bytes", "top1")


def main(arguments):
    """Measure, print tables, and write the rows where `--json` says."""
    options, parser = _options(arguments)
    needs.checkout(parser)
    needs.tensorflow(parser)
    import models
    from lab.benchmark import artifacts

    with tempfile.TemporaryDirectory() as directory:
        try:
            made = artifacts.make(options, Path(directory), models.build)
        except artifacts.ERRORS as error:
            parser.exit(1, f"python -m lab.benchmark infer: error: {one_line(error)}\n")
        rows = [row for threads in options.threads for row in _measure(options, made, threads)]
        steps = _profile(made)
        starts = _starts(made, Path(directory) / "code")
    _print(rows)
    print(f"\nstart of tfq, process and first result: {starts[0]:.2f} s the first time, when it compiles; then {starts[1]:.2f} s")
    _print_steps(steps)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if options.plot:
        infer_plot.draw(rows, options.plot)
    return 0


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark infer", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run",
        metavar="RUN",
        type=Path,
        help="quantized run of train.py, or JSON file of a sweep, as in results/sweep; without one, a network is trained for an "
        "epoch on handwritten digits",
    )
    parser.add_argument("--float_run", metavar="RUN", type=Path, help="likewise a float run, for the rows of TFLite and Keras")
    parser.add_argument(
        "--also",
        metavar="MODEL.tfq",
        type=Path,
        nargs="+",
        default=[],
        help="packed networks that tfq runs too, in the same turns",
    )
    parser.add_argument("--model", default="resnet20", help="network, where no run is given (default resnet20)")
    parser.add_argument("--method", default="xnor", help="likewise its quantization (default xnor)")
    parser.add_argument("--w_bits", type=int, help="likewise, for dorefa")
    parser.add_argument("--a_bits", type=int, help="likewise, for dorefa")
    for network in NETWORKS.values():
        for option in network.options:
            as_flag = {"action": argparse.BooleanOptionalAction} if option.kind is bool else {"type": option.kind}
            parser.add_argument(f"--{option.name}", **as_flag, help=f"likewise, of {network.name}")
    parser.add_argument("--threads", type=thread_count, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)")
    parser.add_argument("--repetitions", type=integer(), default=10, help="turns of each engine (default 10)")
    parser.add_argument("--images", type=integer(), default=1000, help="test images for top-1 (default 1000)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help=f"write the rows {{{', '.join(KEYS)}}} here")
    parser.add_argument("--plot", metavar="PATH", type=picture_file, help="draw the latencies into this picture")
    return parser.parse_args(arguments), parser


def _start(made, engine, threads, **environment):
    """A process that has given its first result, and the seconds from its start to that."""
    begin = time.perf_counter()
    worker = Worker("lab.benchmark.infer_worker:Measured", engine, threads, environment=environment)
    worker.call("load", made.files[engine], made.images)
    return worker, time.perf_counter() - begin


def _starts(made, directory):
    """Seconds that the first start of tfq on a machine takes, and the second."""
    seconds = []
    for _ in range(2):
        worker, taken = _start(made, "tfq", 1, NUMBA_CACHE_DIR=str(directory))
        worker.close()
        seconds.append(taken)
    return seconds


def _profile(made):
    worker, _ = _start(made, "tfq", 1)
    steps = worker.call("profile")
    worker.close()
    return steps


def _measure(options, made, threads):
    started = {engine: _start(made, engine, threads) for engine in made.files}
    workers = {engine: worker for engine, (worker, _) in started.items()}
    with progress("measuring", options.repetitions * len(workers) * len(CALLS)) as done:
        times = in_turns(workers, CALLS, options.repetitions, done)
    rest = {
        engine: {"top1": worker.call("top1", made.labels), "peak_mib": worker.call("memory"), "start_s": started[engine][1]}
        for engine, worker in workers.items()
    }
    for worker in workers.values():
        worker.close()
    return [_row(made, engine, threads, batch, taken, **rest[engine]) for (engine, batch), taken in times.items()]


def _row(made, engine, threads, batch, taken, top1, **others):
    p50, p95 = np.percentile(taken, [50, 95])
    values = (
        *(engine, made.model, made.method, threads, batch, float(p50), float(p95), 1e3 * batch / float(p50)),
        *(openvino_model.size(made.files[engine]), top1),
    )
    return {**dict(zip(KEYS, values, strict=True)), **others}


def _print(rows):
    heads = ("engine", "threads", "batch", "p50 ms", "p95 ms", "images/s", "bytes", "top-1", "peak MiB")
    keys = ("engine", "threads", "batch", "p50_ms", "p95_ms", "images_per_s", "bytes", "top1", "peak_mib")
    formats = ("", "", "", ".3f", ".3f", ".0f", ",", ".2%", ".0f")
    print(table(heads, [[format(row[key], how) for key, how in zip(keys, formats, strict=True)] for row in rows]))
    base = {(row["threads"], row["batch"]): row["p50_ms"] for row in rows if row["engine"] == "tfq"}
    for row in rows:
        if row["engine"] != "tfq":
            ratio = row["p50_ms"] / base[row["threads"], row["batch"]]
            print(f"tfq is {ratio:.2f} times as fast as {row['engine']} ({row['threads']} threads, batch {row['batch']})")


def _print_steps(steps):
    total = ("sum", "", sum(seconds for *_, seconds in steps))
    cells = [(name, f"{1e6 * seconds:.1f}", path) for name, path, seconds in (*steps, total)]
    print("\n" + table(("step of tfq", "us", "by"), cells, align="lrl"))
