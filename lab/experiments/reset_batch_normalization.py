"""Sets the scale and shift of a run's batch normalizations back to 1 and 0, which brings the inputs of its quantizers back.

python -m lab.experiments.reset_batch_normalization RUN_DIR OUT_DIR    # then train.py --init_from=OUT_DIR/last.keras ...
"""

import argparse
import shutil
import sys

from tfq.backend.keras import keras, ops, weight_name
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory

_START = {"gamma": ops.ones_like, "beta": ops.zeros_like}


def main(arguments=None):
    """Write the copy; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.experiments.reset_batch_normalization", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", metavar="RUN_DIR", help="directory that train.py wrote: its last checkpoint is taken")
    parser.add_argument("out", metavar="OUT_DIR", help="directory to write to, which must not be there yet")
    options = parser.parse_args(arguments)
    source, target = RunDirectory(options.run), RunDirectory(options.out)
    try:
        model, history = checkpoint.load(source.last)
        target.path.mkdir(parents=True)
        reset(model)
        checkpoint.save(model, target.last, history)
        for path in (source.history, source.flags):  # they say how many epochs are behind it
            shutil.copy(path, target.path)
    except (checkpoint.CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def reset(model):
    """Give each batch normalization of a model its first scale and shift."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.trainable_weights:
                weight.assign(_START[weight_name(weight)](weight))


if __name__ == "__main__":
    sys.exit(main())
