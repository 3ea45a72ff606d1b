"""TensorFlow SavedModel with a serving signature for any batch size."""

from tfq.compat import require

FILENAME = "savedmodel"
SIGNATURE = "serving_default"


def write(model, path):
    """Write the forward pass of `model` as a SavedModel, with the signature `serving_default`: `images` to `logits`.

    The same for Keras 3 and tf_keras. (`model.export` of Keras 3 stores all weights twice and takes three times as long.)

    Args:
        model: built Keras model of one input and one output, on TensorFlow.
        path: directory to write.
    """
    tf = require("tensorflow")
    inputs = model.inputs[0]
    any_batch = tf.TensorSpec([None, *inputs.shape[1:]], inputs.dtype, name="images")
    module = tf.Module()
    module.serve = tf.function(lambda images: {"logits": model(images, training=False)}, input_signature=[any_batch])
    # A SavedModel holds the variables that its object holds.
    module.weights = module.serve.get_concrete_function().graph.variables
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: module.serve})


def load(path):
    """The function from a batch of images (float32 array) to logits that the SavedModel at `path` serves."""
    tf = require("tensorflow")
    module = tf.saved_model.load(str(path))

    def predict(images):
        return module.signatures[SIGNATURE](images=tf.constant(images))["logits"].numpy()

    return predict
