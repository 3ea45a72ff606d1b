"""Several devices of one process, on TensorFlow."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tfq import data, walk
from tfq.backend.keras import keras
from tfq.data.on_device import Fed
from tfq.distribute.sharing import Sharing
from tfq.optional import require

_AHEAD = 2


class Mirrored(Sharing):
    """`tf.distribute.MirroredStrategy` on all GPUs that TensorFlow sees; without any, on its processors, of which there may be
    several virtual ones. Each takes a part of the batch, and they add up their gradients.
    """

    def __init__(self) -> None:
        tf = require("tensorflow")
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.replicas = self._strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where variables are made on all replicas."""
        return self._strategy.scope()

    def synchronize(self, model: keras.Model) -> None:
        """By the `synchronized` of Keras' layer."""
        for _, layer in walk.layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True

    @contextlib.contextmanager
    def feeding(self, model: keras.Model, batches: Any, val_batches: data.Batches) -> Iterator[Fed]:
        """The whole batches, which the strategy cuts into those of its replicas."""
        shards = self.shards(batches, val_batches)
        training, test = (_dataset(shard) for shard in shards)
        yield Fed(training, test, shards)


def _dataset(shard):
    tf = require("tensorflow")

    def each():
        return (shard[index] for index in range(len(shard)))

    signature = tuple(tf.TensorSpec(array.shape, array.dtype) for array in shard[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # the strategy cuts each batch
    dataset = tf.data.Dataset.from_generator(each, output_signature=signature)
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(shard)))
    return counted.prefetch(_AHEAD).with_options(options)
