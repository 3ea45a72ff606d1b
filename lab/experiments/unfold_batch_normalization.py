"""Makes of a packed network one that can be trained further: its file keeps scale and shift of a batch normalization alone.

python -m lab.experiments.unfold_batch_normalization NETWORK.tfq OUT.keras    # then train.py --init_from=OUT.keras ...

`tfq.training.restore_statistics` takes means and variances anew, from training images, and the network computes the same. Latent
weights are not in the file: each comes back as the level that it is quantized to.
"""

import argparse
import sys

import tfq
from tfq import data
from tfq.graph import file
from tfq.training import restore_statistics

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
        batches = data.Batches(x, y, _BATCH, graph.pixel_mean, graph.pixel_std)
        restore_statistics(model, [images for images, _ in batches])
        model.save(options.out)
    except (file.FileError, data.DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
