"""Batches in the form that `fit` takes without delay."""

from typing import Any

from tfq.backend.keras import backend
from tfq.data.batches import Batches
from tfq.optional import require

_AHEAD = 2


def feed(batches: Batches) -> Any:
    """What to give `fit` and `evaluate` for these batches.

    On TensorFlow, Keras makes a tf.data pipeline of whatever it is given. This is that pipeline without its autotuner. The
    thread of that is now and then not woken when a pipeline ends, and the epoch then waits until its timer has run out, which is
    10 ms at first and doubles up to a minute. Elsewhere it is the batches themselves.

    Args:
        batches: `Batches`.
    """
    if backend != "tensorflow":
        return batches
    tf = require("tensorflow")

    def each():
        return (batches[index] for index in range(len(batches)))

    images = tf.TensorSpec([None, *batches.x.shape[1:]], tf.float32)
    dataset = tf.data.Dataset.from_generator(each, output_signature=(images, tf.TensorSpec([None], tf.int32)))
    options = tf.data.Options()
    options.autotune.enabled = False
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(_AHEAD).with_options(options)
