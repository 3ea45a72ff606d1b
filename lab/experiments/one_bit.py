"""train.py with one thing changed in its layers of one-bit weights: two suspects of docs/research/low-bit-training.md, tried.

python -m lab.experiments.one_bit --l2=5e-4 FLAG_OF_TRAIN ...              # l2 W is added to the gradient of the latent weights
python -m lab.experiments.one_bit --scaled_gradient FLAG_OF_TRAIN ...      # dC/dW := E|W| g, where DoReFa has g
"""

from absl import app, flags

import models
import train

flags.DEFINE_float("l2", 0.0, "Strength of an L2 penalty on latent kernels of one bit.", lower_bound=0)
flags.DEFINE_boolean("scaled_gradient", False, "Multiply the gradient of one-bit kernels by their scale factor.")

_build = models.build


def build(*arguments, **options):
    """The network of train.py, changed; train.py has chosen the backend when it calls this."""
    from tfq.backend.keras import keras
    from tfq.quantizers import DoReFaWeights

    model = _build(*arguments, **options)
    layers = [layer for layer in model.layers if isinstance(getattr(layer, "kernel_quantizer", None), DoReFaWeights)]
    layers = [layer for layer in layers if layer.kernel_quantizer.bits == 1]
    if not layers:
        train.die("no layer has DoReFa weights of one bit: give --flagfile=configs/dorefa_a1w1.cfg")
    for layer in layers:
        if flags.FLAGS.l2:
            layer.kernel.regularizer = keras.regularizers.L2(flags.FLAGS.l2 / 2)  # of which the gradient is l2 W
    if flags.FLAGS.scaled_gradient:
        quantizer = _scaled(DoReFaWeights)
        for layer in layers:
            layer.kernel_quantizer = quantizer
    print(f"{len(layers)} layers changed", flush=True)
    return model


def _scaled(quantizer):
    """A quantizer of one bit whose gradient is multiplied by its scale factor."""
    from tfq.backend.keras import keras, ops

    @keras.saving.register_keras_serializable("one_bit")  # so that the checkpoints can be read
    class Scaled(quantizer):
        def __call__(self, x, **arguments):
            still = ops.stop_gradient(x)
            return ops.stop_gradient(super().__call__(x, **arguments)) + ops.mean(ops.abs(still)) * (x - still)  # which is plus 0

    return Scaled(1)


if __name__ == "__main__":
    models.build = build
    app.run(train.main, flags_parser=train.parse)
