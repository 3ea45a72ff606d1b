"""`tfq weights RUN_DIR OUT.npz`: the weights of a run in a small file, from which another run starts."""

import argparse
import sys
from pathlib import Path

from tfq import backends
from tfq.terminal import one_line


def main(arguments: list[str] | None = None, prog: str = "tfq weights") -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog=prog, description="Pack the weights of a run as .npz.")
    parser.add_argument("source", type=Path, help="checkpoint, or run directory: its best one, as --init_from takes it")
    parser.add_argument("out", type=Path, help="the .npz file to write")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".npz":
        parser.error(f"{options.out} must end with .npz")
    backends.choose()
    try:
        from tfq.training import transfer, weights  # with the backend that was chosen
    except (ImportError, ValueError) as error:  # it is not installed, or none is
        return _fail(prog, error)
    try:
        layers = transfer.read(options.source)
        weights.write(options.out, layers, {"epochs": weights.epochs_behind(options.source)})
    except (transfer.TransferError, weights.WeightsError, OSError, ImportError) as error:
        return _fail(prog, error)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


def _fail(prog: str, error: Exception) -> int:
    print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
    return 2
