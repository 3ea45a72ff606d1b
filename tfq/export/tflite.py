"""TensorFlow Lite in float32, for any batch size."""

import tempfile
from pathlib import Path

from tfq.compat import require
from tfq.export import flatbuffer, savedmodel

FILENAME = "model.tflite"
sizes = flatbuffer.sizes


def write(model, path, sample=None):
    """Write `model` as a TFLite flatbuffer; quantized kernels are stored as the floats they stand for.

    Args:
        model: built Keras model of one input and one output, on TensorFlow.
        path: file to write.
        sample: not used.
    """
    Path(path).write_bytes(converted(model, lambda converter: None))


def converted(model, configure):
    """The flatbuffer of a model; `configure` gets the converter first, to set what it wants."""
    tf = require("tensorflow")
    # By way of a SavedModel: the converter's own `from_keras_model` does not know Keras 3.
    with tempfile.TemporaryDirectory() as directory:
        savedmodel.write(model, directory)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        configure(converter)
        return converter.convert()


def load(path, threads=None):
    """The function from a batch of images (float32 array) to logits that the TFLite file at `path` computes.

    Args:
        path: the file.
        threads: number of threads; None for the interpreter's own choice.
    """
    tf = require("tensorflow")
    interpreter = tf.lite.Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (input_details,) = interpreter.get_input_details()
    (output_details,) = interpreter.get_output_details()
    allocated = tuple(input_details["shape"])

    def predict(images):
        nonlocal allocated
        if images.shape != allocated:
            interpreter.resize_tensor_input(input_details["index"], images.shape)
            interpreter.allocate_tensors()
            allocated = images.shape
        interpreter.set_tensor(input_details["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output_details["index"])

    return predict
