"""Sets the scale and shift of a run's batch normalizations back to 1 and 0, which brings the inputs of its quantizers back.

python docs/experiments/reset_batch_normalization.py RUN_DIR OUT_DIR    # then train.py --init_from=OUT_DIR/last.keras ...
"""

import shutil
import sys

from tfq.compat import keras, ops, weight_name
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory

source, target = (RunDirectory(path) for path in sys.argv[1:])
model, history = checkpoint.load(source.last)
for layer in model.layers:
    for weight in layer.weights if isinstance(layer, keras.layers.BatchNormalization) else ():
        if weight_name(weight) in ("gamma", "beta"):
            weight.assign(ops.ones_like(weight) if weight_name(weight) == "gamma" else ops.zeros_like(weight))
target.path.mkdir(parents=True)
checkpoint.save(model, target.last, history)
# They say how many epochs are behind it.
shutil.copy(source.history, target.history)
shutil.copy(source.flags, target.flags)
