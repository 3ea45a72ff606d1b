"""Makes of a packed network one that can be trained further: its file keeps scale and shift of a batch normalization alone.

python -m lab.experiments.unfold_batch_normalization NETWORK.tfq OUT.keras    # then train.py --init_from=OUT.keras ...

Means and variances are taken anew from training images, and scale and shift are changed so that the network computes the same.
Latent weights are not in the file: each comes back as the level that it is quantized to.
"""

import argparse
import sys

import numpy as np

import tfq
from tfq import data
from tfq.backend.keras import keras, ops
from tfq.graph import file

_IMAGES, _BATCH = 2560, 256


def main(arguments=None):
    """Write the network; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.experiments.unfold_batch_normalization", description=__doc__.splitlines()[0]
    )
    parser.add_argument("network", metavar="NETWORK.tfq", help="packed network of train.py")
    parser.add_argument("out", metavar="OUT.keras", help="file to write")
    parser.add_argument("--dataset", default="cifar10", help="default: %(default)s")
    parser.add_argument("--data_dir", help="where the data set is, if it is not to be found in the cache or fetched")
    options = parser.parse_args(arguments)
    try:
        graph = file.read(options.network)
        if graph.pixel_mean is None:
            raise file.FileError(f"{options.network} does not say how its images are prepared: it is none of train.py")
        model = tfq.load_packed(options.network)
        dataset = data.load(options.dataset, options.data_dir)
        x, y = dataset.x_train[:_IMAGES], dataset.y_train[:_IMAGES]
        unfold(model, [images for images, _ in data.Batches(x, y, _BATCH, graph.pixel_mean, graph.pixel_std)])
        model.save(options.out)
    except (file.FileError, data.DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def unfold(model, batches):
    """Give each batch normalization of a functional model the statistics of its inputs, without changing what it computes.

    Args:
        model: the model.
        batches: images, in batches as the model takes them.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    inputs = keras.Model(model.inputs, [layer.input for layer in layers])
    for layer, *arrays in zip(layers, *map(inputs.predict_on_batch, batches), strict=True):
        _set_statistics(layer, np.concatenate(arrays).astype(np.float64))


def _set_statistics(layer, x):
    gamma, beta, mean, variance = (ops.convert_to_numpy(weight).astype(np.float64) for weight in layer.weights)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    shift = beta - mean * scale
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    layer.set_weights([scale * np.sqrt(variance + layer.epsilon), shift + mean * scale, mean, variance])


if __name__ == "__main__":
    sys.exit(main())
