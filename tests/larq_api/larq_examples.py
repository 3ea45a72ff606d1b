"""The networks of larq's examples, written for `lq` and the Keras it runs on; their weights, data, losses and gradients."""

import numpy as np

BATCH, STEPS = 8, 10
# No value before a sign is nearer to 0 than 1e-4 in the first step of these; searched for, and asserted where they are used.
SEEDS = {"binarynet": 8, "mnist": 0}


def binarynet(lq, keras, width=0.25):
    """For CIFAR-10: Courbariaux et al. 2016, arXiv:1602.02830; its filters times `width`."""
    kernel = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **kernel}
    layers = [keras.layers.Input((32, 32, 3)), lq.layers.QuantConv2D(int(128 * width), 3, **kernel), norm(keras)]
    for filters, pools in ((128, True), (256, False), (256, True), (512, False), (512, True)):
        layers.append(lq.layers.QuantConv2D(int(filters * width), 3, padding="same", **binary))
        layers += [keras.layers.MaxPooling2D(), norm(keras)] if pools else [norm(keras)]
    layers.append(keras.layers.Flatten())
    for units in (int(1024 * width), int(1024 * width), 10):
        layers += [lq.layers.QuantDense(units, **binary), norm(keras)]
    return keras.models.Sequential([*layers, keras.layers.Activation("softmax")])


def mnist(lq, keras):
    """That of larq's introduction."""
    kernel = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **kernel}
    layers = [keras.layers.Input((28, 28, 1)), lq.layers.QuantConv2D(32, 3, **kernel), keras.layers.MaxPooling2D(), norm(keras)]
    layers += [lq.layers.QuantConv2D(64, 3, **binary), keras.layers.MaxPooling2D(), norm(keras)]
    layers += [lq.layers.QuantConv2D(64, 3, **binary), norm(keras), keras.layers.Flatten()]
    for units in (64, 10):
        layers += [lq.layers.QuantDense(units, **binary), norm(keras)]
    return keras.models.Sequential([*layers, keras.layers.Activation("softmax")])


NETWORKS = {"binarynet": binarynet, "mnist": mnist}


def norm(keras):
    return keras.layers.BatchNormalization(momentum=0.9, scale=False)


def batches(shape, seed):
    """Integers for pixels, so that the sums of the first layer are exact on every backend; and labels."""
    random = np.random.default_rng(seed)
    x = random.integers(-7, 8, (STEPS, BATCH, *shape)).astype("float32")
    return x, np.eye(10, dtype="float32")[random.integers(0, 10, (STEPS, BATCH))]


def initial(variables, seed):
    """Kernels of the same size on both sides of 0, and none near it; other weights small."""
    random = np.random.default_rng(seed)
    return [
        (
            random.uniform(0.001, 1, v.shape) * random.choice([-1, 1], v.shape)
            if len(v.shape) > 1
            else random.normal(0, 0.1, v.shape)
        ).astype("float32")
        for v in variables
    ]


def before_signs(model, keras, x):
    """What the signs of inputs are taken of, in training."""
    layers = [layer for layer in model.layers if getattr(layer, "input_quantizer", None) is not None]
    return list(keras.Model(model.inputs, [layer.input for layer in layers])(x, training=True))


def assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def by_tape(model, keras, x, y):
    """The loss and its gradients, on TensorFlow."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(y, model(x, training=True)))
    return float(loss), [np.asarray(g) for g in tape.gradient(loss, model.trainable_weights)]
