"""Steps of one process and of several devices, each begun from the same weights: python steps.py FILE FIRST LAST [STEPS].

For the quantizers FIRST to before LAST of `every_quantizer.ALL` it writes how far the weights are apart after each step, as JSON.
In a job of several workers the weights that the steps in a row leave are beside it, as FILE.npz. The environment says how many
devices and workers there are.
"""

import functools
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/distribute")]

import numpy as np  # noqa: E402
import worker  # noqa: E402

BATCH = 12


def main(path, first, last, steps=20):
    from tfq.backend.keras import backend

    if backend == "tensorflow":
        worker.two_devices()
    else:
        be_patient()
    from every_quantizer import ALL

    from tfq import distribute

    engine = distribute.engine("data_parallel" if backend == "jax" else "mirrored")
    found, left = {}, {}
    for place, quantizer in list(enumerate(ALL))[int(first) : int(last)]:
        if backend == "tensorflow" and quantizer.operand == "gradient" and not quantizer.is_off:
            continue  # whose noise differs from replica to replica
        name = f"{place} {quantizer!r}"
        batches = made(int(steps))
        model, start, found[name] = apart(engine, quantizer, batches)
        if engine.workers > 1:
            assign(model, start)
            fit(engine, model, batches)
            left[str(place)] = np.concatenate([np.ravel(each) for each in model.get_weights()])
        Path(path).write_text(json.dumps(found))
    if left:
        np.savez(f"{path}.npz", **left)


def be_patient():
    """Have JAX not take a worker for dead that other work on the machine has stopped for minutes."""
    import jax

    jax.distributed.initialize = functools.partial(jax.distributed.initialize, heartbeat_timeout_seconds=3600)


def made(steps):
    """Batches of an epoch of so many steps."""
    from tfq import data

    images = np.random.default_rng(1).integers(0, 256, (steps * BATCH, 6, 6, 3)).astype("uint8")
    dataset = worker.data()
    return data.batches_of(images, np.arange(len(images)) % 3, BATCH, dataset.mean, dataset.std, shuffle=True, seed=3)


def apart(engine, quantizer, batches):
    """The model that several devices trained, what its variables began with, and the largest distance after each step."""
    from tfq.distribute.alone import Alone

    states, distances = [], []
    fit(Alone(), network(quantizer, Alone()), batches, recording(states))
    model = network(quantizer, engine)
    fit(engine, model, batches, replaying(states, distances))
    return model, states[0], distances


def network(quantizer, engine):
    """A quantized layer between layers in float, compiled."""
    from tfq import layers
    from tfq.backend.keras import keras
    from tfq.quantizers import DoReFaWeights

    keras.utils.set_random_seed(0)
    kinds = {"kernel": ["kernel"], "inputs": ["input"], "gradient": ["gradient"], None: ["kernel", "input"]}[quantizer.operand]
    own = {f"{kind}_quantizer": type(quantizer).from_config(quantizer.get_config()) for kind in kinds}
    given = {"kernel_quantizer": DoReFaWeights(2), **own}
    with engine.scope():
        inputs = keras.Input((6, 6, 3))
        x = layers.BatchNormalization(name="bn")(keras.layers.Conv2D(4, 3, name="first")(inputs))
        x = layers.BatchNormalization(name="flat_bn")(layers.QuantConv2D(4, 3, name="quantized", **given)(x))
        model = keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Flatten()(x)))
        engine.synchronize(model)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss)
        model.optimizer.build(model.trainable_variables)
    return model


def fit(engine, model, batches, *callbacks):
    dataset = worker.data()
    from tfq import data

    test = data.batches_of(dataset.x_test, dataset.y_test, BATCH, dataset.mean, dataset.std)
    with engine.scope(), engine.feeding(model, batches, test) as fed:
        model.fit(fed.images, shuffle=False, verbose=0, callbacks=[*callbacks])


def recording(states):
    """A callback that keeps the variables of model and optimizer: in the beginning, and after each step."""
    from tfq.backend.keras import keras

    class Recording(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            states.append(arrays(self.model))

        def on_train_batch_end(self, batch, logs=None):
            states.append(arrays(self.model))

    return Recording()


def replaying(states, distances):
    """A callback that begins each step from what was kept, and says how far it ends from what was kept of its end."""
    from tfq.backend.keras import keras

    class Replaying(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            assign(self.model, states[batch])

        def on_train_batch_end(self, batch, logs=None):
            pairs = zip(arrays(self.model), states[batch + 1], strict=True)
            distances.append(max(float(np.abs(found.astype("float64") - kept).max()) for found, kept in pairs))

    return Replaying()


def variables(model):
    return [*model.weights, *model.optimizer.variables]


def assign(model, arrays):
    for variable, array in zip(variables(model), arrays, strict=True):
        variable.assign(array)


def arrays(model):
    from tfq.backend.keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in variables(model)]


if __name__ == "__main__":
    main(*sys.argv[1:])
