"""Two replicas on two virtual processors, each with images of its own: prints what they keep, as JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from tfq import layers, quantizers  # noqa: E402

PARTS = np.random.default_rng(0).normal(size=(2, 5, 4, 4, 3)).astype("float32") * np.float32([1, 3]).reshape(2, 1, 1, 1, 1)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def made():
    fused, plain = layers.BatchNormalization(), layers.BatchNormalization()
    learned = layers.QuantDense(2, input_quantizer=quantizers.LSQInputs(2))
    noisy = layers.QuantGradient(quantizers.DoReFaGradients(2, seed=1), name="noisy")
    fused.build((None, 4, 4, 3)), plain.build((None, 48)), learned.build((None, 48)), noisy.build((None, 48))
    return fused, plain, learned, noisy


def step(fused, plain, learned, noisy, x):
    flat = tf.reshape(x, (-1, 48))
    fused(x, training=True), plain(flat, training=True), learned(flat, training=True)
    with tf.GradientTape() as tape:
        tape.watch(flat)
        outputs = noisy(flat, training=True)
    # The same for both, of which each makes levels with noise of its own.
    upstream = tf.reshape(tf.linspace(-1.0, 1.0, 5 * 48), (5, 48))
    return tape.gradient(outputs, flat, output_gradients=upstream)


with strategy.scope():
    parts = made()
given = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(PARTS[context.replica_id_in_sync_group])
)
noise = strategy.experimental_local_results(tf.function(lambda x: strategy.run(step, (*parts, x)))(given))
alone = made()
first = step(*alone, tf.constant(PARTS[0]))
fused, plain, learned, _ = parts


def local(variable):
    return [np.asarray(each).tolist() for each in strategy.experimental_local_results(getattr(variable, "value", variable))]


kept = {variable.path.split("/")[-1]: local(variable) for variable in learned.non_trainable_variables}
print(
    json.dumps(
        {
            "fused": [local(fused.moving_mean), local(fused.moving_variance)],
            "plain": [local(plain.moving_mean), local(plain.moving_variance)],
            "learned": kept,
            "noise": [np.asarray(each).tolist() for each in noise],
            "alone": np.asarray(first).tolist(),
        }
    )
)
