"""The process of `lab.benchmark.layers`: a layer of one library beside Keras' float layer, in the environment of that library.

It reads what to measure as a line of JSON and answers with one.
"""

import importlib
import json
import statistics
import sys
import time

import numpy as np
import tensorflow as tf

FLOAT = "float"


def main():
    """Measure what the first line of standard input says: {library, layer, turns, batch_size}."""
    asked = json.loads(sys.stdin.readline())
    tf.get_logger().setLevel("ERROR")  # it warns of many functions, which are meant
    library = importlib.import_module(f"lab.benchmark.layer_steps.of_{asked['library']}")
    print(json.dumps(measured(library, asked["layer"], asked["turns"], asked["batch_size"])))


def measured(library, layer, turns, batch_size):
    """Median milliseconds of a step of a layer, by method, without those that do not have it; "float" is that of Keras."""
    makers = {FLOAT: lambda layer: stock(library.keras, layer), **library.METHODS}
    made = {name: make(layer) for name, make in makers.items()}
    steps = {name: _step(library.keras, layers, layer, batch_size) for name, layers in made.items() if layers}
    for step in steps.values():  # the first compiles
        step(), step()
    taken = {name: [] for name in steps}
    for turn in range(turns):
        first = turn % len(steps)
        for name in [*steps][first:] + [*steps][:first]:
            begin = time.perf_counter()
            steps[name]()
            taken[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(times) for name, times in taken.items()}


def options(layer):
    """Arguments of its convolution, of whatever library; one without filters is depthwise."""
    filters = {} if layer["filters"] is None else {"filters": layer["filters"]}
    of_all = {"kernel_size": layer["kernel_size"], "strides": layer["strides"], "padding": "same", "use_bias": False}
    return {**filters, **of_all}


def stock(keras, layer):
    """The float layer of Keras, in the form of all makers: a list of layers, one behind the other."""
    kind = keras.layers.DepthwiseConv2D if layer["filters"] is None else keras.layers.Conv2D
    return [kind(**options(layer))]


def _step(keras, layers, layer, batch_size):
    """A function that goes through layers forward and backward, in graph mode without XLA, which `fit` takes on processors."""
    shape = (layer["height"], layer["height"], layer["channels"])
    draw = np.random.default_rng(0).normal
    image = keras.Input(shape)
    outputs = image
    for part in layers:
        outputs = part(outputs)
    model = keras.Model(image, outputs)
    inputs = tf.constant(draw(size=(batch_size, *shape)).astype(np.float32))
    upstream = tf.constant(draw(size=(batch_size, *outputs.shape[1:])).astype(np.float32))
    weights = [getattr(weight, "value", weight) if hasattr(weight, "path") else weight for weight in model.trainable_weights]

    @tf.function
    def step(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs, training=True)
        return outputs, tape.gradient(outputs, [inputs, *weights], output_gradients=upstream)

    return lambda: step(inputs, upstream)


if __name__ == "__main__":
    main()
