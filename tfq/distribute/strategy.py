"""What the strategies of `tf.distribute` share."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tfq import data, walk
from tfq.backend.keras import keras
from tfq.data.on_device import Fed
from tfq.distribute.alone import Alone
from tfq.distribute.shards import TestShard, TrainingShard
from tfq.optional import require

_AHEAD = 2


class Strategy(Alone):
    """Replicas that each take a part of the batch and add up their gradients.

    Args:
        strategy: the one of `tf.distribute`.
    """

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where variables are made on all replicas."""
        return self.strategy.scope()

    def metrics(self, metrics: list[Any]) -> dict[str, list[Any]]:
        """Weighted ones, which the images that fill up a test do not enter."""
        return {"weighted_metrics": metrics}

    def synchronize(self, model: keras.Model) -> None:
        """By the `synchronized` of Keras' layer."""
        for _, layer in walk.layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True

    @contextlib.contextmanager
    def feeding(self, model: keras.Model, batches: Any, val_batches: data.Batches) -> Iterator[Fed]:
        """The shards of this worker, cut into those of its replicas."""
        shards = (
            TrainingShard(batches, self.worker, self.workers),
            TestShard(val_batches, self.worker, self.workers, self.replicas),
        )
        training, test = (_dataset(shard) for shard in shards)
        yield Fed(training, test, shards)


def _dataset(shard):
    tf = require("tensorflow")

    def each():
        return (shard[index] for index in range(len(shard)))

    signature = tuple(tf.TensorSpec(array.shape, array.dtype) for array in shard[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # it is sharded
    dataset = tf.data.Dataset.from_generator(each, output_signature=signature)
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(shard)))
    return counted.prefetch(_AHEAD).with_options(options)
