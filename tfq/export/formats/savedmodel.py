"""TensorFlow SavedModel with serving signatures for any batch size."""

from tfq.export import low_bit
from tfq.export.frozen import frozen_kernels
from tfq.export.sample import Sample
from tfq.optional import require

FILENAME = "savedmodel"
SIGNATURE = "serving_default"
UINT8_SIGNATURE = "serving_uint8"
in_float = low_bit.names


def write(model, path, sample=Sample()):  # noqa: B008, a frozen value
    """Write the forward pass of `model` as a SavedModel, with the signature `serving_default`: `images` to `logits`.

    With pixel statistics there is also `serving_uint8`, which takes uint8 images and prepares them itself:
    (x / 255 - mean) / std. The same for Keras 3 and tf_keras. (`model.export` of Keras 3 stores all weights twice and takes three
    times as long.) Quantized kernels are stored as the float32 numbers they stand for, not as the latent ones.

    Args:
        model: built Keras model of one input and one output, on TensorFlow.
        path: directory to write.
        sample: `Sample`, for its pixel statistics.
    """
    with frozen_kernels(model) as kernels:
        _save(require("tensorflow"), model, path, sample, kernels)


def _save(tf, model, path, sample, kernels):
    inputs = model.inputs[0]
    module = tf.Module()

    def signature(function, dtype):
        images = tf.TensorSpec([None, *inputs.shape[1:]], dtype, name="images")
        return tf.function(lambda images: {"logits": function(images)}, input_signature=[images])

    module.serve = signature(lambda images: model(images, training=False), inputs.dtype)
    signatures = {SIGNATURE: module.serve}
    if sample.takes_uint8:
        scale, shift = sample.scale_and_shift()
        module.serve_uint8 = signature(lambda x: model(tf.cast(x, tf.float32) * scale + shift, training=False), tf.uint8)
        signatures[UINT8_SIGNATURE] = module.serve_uint8
    # A SavedModel holds the variables that its object holds. A graph does not list those of functions in it.
    listed = module.serve.get_concrete_function().graph.variables
    module.weights = list({id(variable): variable for variable in (*listed, *kernels)}.values())
    tf.saved_model.save(module, str(path), signatures=signatures)


def load(path, signature=SIGNATURE):
    """The function from a batch of images to logits that the SavedModel at `path` serves.

    Args:
        path: directory of the SavedModel.
        signature: `SIGNATURE` for float32 images, `UINT8_SIGNATURE` for uint8 ones.
    """
    tf = require("tensorflow")
    module = tf.saved_model.load(str(path))

    def predict(images):
        return module.signatures[signature](images=tf.constant(images))["logits"].numpy()

    return predict


def load_uint8(path):
    """The function from a batch of uint8 images to logits, of a SavedModel that was written with pixel statistics."""
    return load(path, UINT8_SIGNATURE)


def sizes(path):
    """(name, "", bytes, bytes in float32) of each variable; by layer where its name tells the layer."""
    variables = require("tensorflow").saved_model.load(str(path)).weights
    rows = {}
    for variable in variables:
        layer = variable.name.split(":")[0].rpartition("/")[0] or variable.name
        own, full = rows.get(layer, (0, 0))
        rows[layer] = own + variable.dtype.size * variable.shape.num_elements(), full + 4 * variable.shape.num_elements()
    return [(name, "", *row) for name, row in rows.items()]
