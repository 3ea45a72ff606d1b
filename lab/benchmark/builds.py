"""`python -m lab.benchmark builds OLD`: latency of two builds of the runtime, as ratios of measurements in turns.

OLD and `--new` are checkouts, or revisions of this repository, which get a checkout for the time. Each build is a process; they
are asked in turns for a few images, one at a time. A turn gives one ratio, of the fastest call of each: what slows down both does
not count, and what slows down one call neither. The results of both builds are compared as well.

Without `--networks`, these are resnet20 with XNOR and with DoReFa of 2 bits as the sweep trained them, and with DoReFa of 4 bits
and random weights.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from lab.benchmark import builds_worker
from tfq.arguments import integer, output_file, thread_count
from tfq.terminal import one_line

_TRAINED = Path("results/sweep/full/networks")
_IMAGES = 8


@dataclass(frozen=True)
class Comparison:
    """A network on two builds.

    Attributes:
        network: name of its file.
        old_ms: median of the fastest call of each turn.
        new_ms: likewise.
        ratio: median over the turns of the fastest call of the new build by that of the old.
        low: lower quartile of these.
        high: upper quartile.
        ratio_of_fastest: of the fastest calls of all turns.
        difference: largest between their results.
    """

    network: str
    old_ms: float
    new_ms: float
    ratio: float
    low: float
    high: float
    ratio_of_fastest: float
    difference: float


def main(arguments) -> int:
    """Measure, print a table, and write the rows where `--json` says."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            old, new = (stack.enter_context(checkout(text, directory / name)) for name, text in _builds(options))
            networks = options.networks or _networks(directory)
            rows = [_compare(old, new, network, options, directory) for network in networks]
    except (OSError, ValueError, RuntimeError) as error:
        parser.exit(1, f"{parser.prog}: error: {one_line(error)}\n")
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark builds", description=__doc__.splitlines()[0])
    parser.add_argument("old", metavar="OLD", help="directory of a checkout, or revision of this repository")
    parser.add_argument("--new", default=".", help="likewise (default: this checkout)")
    parser.add_argument("--networks", metavar="MODEL.tfq", type=Path, nargs="+", help="files that both builds read")
    parser.add_argument("--threads", type=thread_count, default=1, help="threads of each build (default 1)")
    parser.add_argument("--starts", type=integer(), default=3, help="times that the processes are started anew (default 3)")
    parser.add_argument("--turns", type=integer(), default=200, help="turns of each start (default 200)")
    parser.add_argument("--calls", type=integer(), default=10, help="calls of each build in a turn (default 10)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help="write the rows here")
    return parser


def _builds(options):
    return ("old", options.old), ("new", options.new)


@contextlib.contextmanager
def checkout(text, directory):
    """The directory of a build; that of a revision is made, and removed afterwards.

    Raises:
        ValueError: it is neither a checkout nor a revision.
    """
    if (Path(text) / "tfq" / "runtime").is_dir():
        yield Path(text).resolve()
        return
    _git("worktree", "add", "--detach", str(directory), text)
    try:
        yield directory
    finally:
        _git("worktree", "remove", "--force", str(directory))


def _git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"neither a checkout of tfq nor a revision of this one: git {arguments[0]}: {done.stderr.strip()}")


def _networks(directory):
    return [
        _TRAINED / "resnet20_xnor_seed0.tfq",
        _TRAINED / "resnet20_dorefa_a2w2_seed0.tfq",
        widened(_TRAINED / "resnet20_dorefa_a2w2_seed0.tfq", 4, directory / "resnet20_dorefa_a4w4_random.tfq"),
    ]


def widened(source: Path, bits: int, target: Path) -> Path:
    """Write the network of a file with inputs and weights of so many bits instead of its own; the weights are random."""
    from tfq.graph import file
    from tfq.graph import nodes as g
    from tfq.graph.kernels import PackedKernel, pack

    rng = np.random.default_rng(0)

    def wide(node):
        kernel, quantizer = getattr(node, "kernel", None), getattr(node, "quantizer", None)
        changes = {"quantizer": g.Levels(bits)} if isinstance(quantizer, g.Levels) else {}
        if isinstance(kernel, PackedKernel):
            whole = 2 * rng.integers(0, 2**bits, kernel.shape) - (2**bits - 1)
            changes["kernel"] = pack(whole, "levels", bits, kernel.scale)
        return replace(node, **changes)

    graph = file.read(source)
    file.write(replace(graph, nodes=tuple(wide(node) for node in graph.nodes)), target)
    return target


class Build:
    """The process of a build. `tfq` there is another than here, so that no pool of this process can run it."""

    def __init__(self, place, network, images, threads):
        self._noise = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", Path(builds_worker.__file__).read_text(encoding="utf-8")],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(place)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
        )
        started = self.ask(json.dumps([str(network.resolve()), str(images), threads]))
        if not Path(started["tfq"]).resolve().is_relative_to(place.resolve()):
            raise RuntimeError(f"{place} runs {started['tfq']}")
        self.results = np.array(started["results"])

    def ask(self, line):
        """The answer to a line.

        Raises:
            RuntimeError: the process has ended.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._noise.seek(0)
            raise RuntimeError(f"the process of a build has ended: {self._noise.read().strip()[-500:]}")
        return json.loads(answer)

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._noise.close()


def _compare(old, new, network, options, directory):
    """The `Comparison` of two builds on a network."""
    images = directory / f"{network.stem}.npy"
    write_images(network, images)
    turns, difference = [], 0.0
    for _ in range(options.starts):
        with contextlib.ExitStack() as stack:
            builds = [Build(place, network, images, options.threads) for place in (old, new)]
            for build in builds:
                stack.callback(build.close)
            turns += [_turn(builds, number % 2, options.calls) for number in range(options.turns)]
            difference = max(difference, float(np.abs(builds[0].results - builds[1].results).max()))
    return summary(network.stem, np.array(turns), difference)


def _turn(builds, first, calls):
    """Seconds of the fastest call of each build; `first` is asked first."""
    fastest = [0.0, 0.0]
    for which in (first, 1 - first):
        fastest[which] = min(builds[which].ask(calls))
    return fastest


def summary(network: str, turns: np.ndarray, difference: float) -> Comparison:
    """The `Comparison` of turns (n, 2): seconds of the fastest call of the old build and of the new one."""
    ratios = turns[:, 1] / turns[:, 0]
    low, middle, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    old, new = np.median(turns, axis=0)
    fastest = float(turns[:, 1].min() / turns[:, 0].min())
    return Comparison(network, 1e3 * float(old), 1e3 * float(new), middle, low, high, fastest, difference)


def write_images(network, path):
    """Random images that the network of a file takes."""
    from tfq.graph import file

    shape = file.read(network).input_shape
    np.save(path, np.random.default_rng(0).normal(size=(_IMAGES, *shape)).astype(np.float32))


def _print(rows):
    print(f"{'network':<34}{'old ms':>9}{'new ms':>9}{'new / old':>11}{'quartiles':>17}{'of fastest':>12}{'difference':>12}")
    for row in rows:
        quartiles = f"{row.low:.3f} ... {row.high:.3f}"
        print(
            f"{row.network:<34}{row.old_ms:>9.3f}{row.new_ms:>9.3f}{row.ratio:>11.3f}{quartiles:>17}"
            f"{row.ratio_of_fastest:>12.3f}{row.difference:>12.1e}"
        )
