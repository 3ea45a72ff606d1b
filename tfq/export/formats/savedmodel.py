"""TensorFlow SavedModel with serving signatures for any batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfq.export.format import Format, reading
from tfq.optional import require

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tfq.export.format import Predict
    from tfq.export.sample import Sample


SIGNATURE = "serving_default"
UINT8_SIGNATURE = "serving_uint8"


class SavedModel(Format):
    """The forward pass of a model, with the signature `serving_default`: `images` to `logits`.

    With pixel statistics there is also `serving_uint8`, which takes uint8 images and prepares them itself:
    (x / 255 - mean) / std. The same for Keras 3 and tf_keras. (`model.export` of Keras 3 stores all weights twice and takes three
    times as long.) Quantized kernels are stored as the float32 numbers they stand for, not as the latent ones.
    """

    name = "savedmodel"
    filename = "savedmodel"
    marker = "saved_model.pb"
    needs = ("tensorflow",)
    backends = ("tensorflow",)
    takes_tfmot = True

    def save(self, model: Any, path: Path, sample: Sample | None = None) -> None:
        """Write the directory; of `sample` the pixel statistics, if any."""
        from tfq.export.frozen import frozen_kernels

        with frozen_kernels(model) as kernels:
            _save(require("tensorflow"), model, path, sample, kernels)

    def load(self, path: Path) -> Predict:
        """What `serving_default` computes."""
        return _served(path, SIGNATURE)

    def load_uint8(self, path: Path) -> Predict:
        """What `serving_uint8` computes."""
        return _served(path, UINT8_SIGNATURE)

    def in_float(self, model: Any) -> tuple[str, ...]:
        """All low-bit layers."""
        from tfq.export import low_bit

        return low_bit.names(model)

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, "", bytes, bytes in float32) of each variable; by layer where its name tells the layer."""
        variables = require("tensorflow").saved_model.load(str(path)).weights
        rows = {}
        for variable in variables:
            layer = variable.name.split(":")[0].rpartition("/")[0] or variable.name
            own, full = rows.get(layer, (0, 0))
            count = variable.shape.num_elements()
            rows[layer] = own + variable.dtype.size * count, full + 4 * count
        return [(name, "", *row) for name, row in rows.items()]


def _save(tf, model, path, sample, kernels):
    inputs = model.inputs[0]
    module = tf.Module()

    def signature(function, dtype):
        images = tf.TensorSpec([None, *inputs.shape[1:]], dtype, name="images")
        return tf.function(lambda images: {"logits": function(images)}, input_signature=[images])

    module.serve = signature(lambda images: model(images, training=False), inputs.dtype)
    signatures = {SIGNATURE: module.serve}
    if sample is not None and sample.takes_uint8:
        scale, shift = sample.scale_and_shift()
        module.serve_uint8 = signature(lambda x: model(tf.cast(x, tf.float32) * scale + shift, training=False), tf.uint8)
        signatures[UINT8_SIGNATURE] = module.serve_uint8
    # A SavedModel holds the variables that its object holds. A graph does not list those of functions in it.
    listed = module.serve.get_concrete_function().graph.variables
    module.weights = list({id(variable): variable for variable in (*listed, *kernels)}.values())
    tf.saved_model.save(module, str(path), signatures=signatures)


def _served(path, signature):
    tf = require("tensorflow")
    with reading(path, "SavedModel"):
        module = tf.saved_model.load(str(path))

    def predict(images):
        return module.signatures[signature](images=tf.constant(images))["logits"].numpy()

    return predict
