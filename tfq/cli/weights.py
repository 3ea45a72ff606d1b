"""`tfq weights RUN_DIR OUT.npz`: the weights of a run in a small file, from which another run starts.

`tfq weights RUN_DIR OUT.keras`: its network with quantized weights alone.
"""

import argparse
import sys
from pathlib import Path

from tfq import backends
from tfq.terminal import one_line


def main(arguments: list[str] | None = None, prog: str = "tfq weights") -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog=prog, description="The weights of a run, or its network with quantized ones.")
    parser.add_argument("source", type=Path, help="checkpoint, or run directory: its best one, as --init_from takes it")
    parser.add_argument("out", type=Path, help="the file to write: .npz, of latent weights, or .keras, of quantized ones")
    options = parser.parse_args(arguments)
    if options.out.suffix not in (".npz", ".keras"):
        parser.error(f"{options.out} must end with .npz or .keras")
    backends.choose()
    try:
        from tfq.training import transfer, weights  # with the backend that was chosen
    except (ImportError, ValueError) as error:  # it is not installed, or none is
        return _fail(prog, error)
    try:
        if options.out.suffix == ".keras":
            _save_quantized(transfer.find(options.source), options.out)
        else:
            weights.write(options.out, transfer.read(options.source), {"epochs": weights.epochs_behind(options.source)})
    except (transfer.TransferError, weights.WeightsError, OSError, ImportError, ValueError) as error:
        return _fail(prog, error)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


def _save_quantized(source: Path, out: Path) -> None:
    from tfq import quantized_weights
    from tfq.backend.keras import load_model

    out.parent.mkdir(parents=True, exist_ok=True)
    quantized_weights.save(load_model(source), out)


def _fail(prog: str, error: Exception) -> int:
    print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
    return 2
