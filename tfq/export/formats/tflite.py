"""TensorFlow Lite in float32, for any batch size."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tfq.export import flatbuffer
from tfq.export.format import Format, reading
from tfq.export.formats.savedmodel import SavedModel
from tfq.optional import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tfq.export.format import Predict
    from tfq.export.sample import Sample


# What the converter says of an operation that it has no form for: where that comes from, and why.
_REFUSED = re.compile(r"error: loc\((.*)\): (.*)")


class TFLite(Format):
    """A flatbuffer; quantized kernels are stored as the numbers they stand for.

    In 8 bits and a scale a filter where that is exact: one bit, ternary, levels of up to 7 bits; see `byte_kernels`. Others, and
    small ones, in float32. The converter folds a batch normalization behind a kernel into it, which scales its filters.
    """

    name = "tflite"
    filename = "model.tflite"
    needs = ("tensorflow",)
    backends = ("tensorflow",)
    takes_tfmot = True

    def save(self, model: Any, path: Path, sample: Sample | None = None) -> None:
        """Write the file; `sample` is not used.

        Raises:
            Unsupported: the converter does not take an operation of the model; the message names its layer.
        """
        from tfq.export import byte_kernels

        Path(path).write_bytes(byte_kernels.packed(converted(model, lambda converter: None)))

    @staticmethod
    def load(path: Path, threads: int | None = None) -> Predict:
        """What the file computes, on so many threads; None for the interpreter's own choice."""
        tf = require("tensorflow")
        with reading(path, "TensorFlow Lite file"):
            # By its content: of a file that it maps itself the interpreter checks nothing, and a damaged one may end the process.
            return _predict(tf.lite.Interpreter(model_content=Path(path).read_bytes(), num_threads=threads))

    def other_runtimes(self, path: Path) -> dict[str, Predict]:
        """What ai-edge-litert, the runtime that replaces `tf.lite`, computes of the file, where it is installed."""
        return litert(path)

    def in_float(self, model: Any) -> tuple[str, ...]:
        """Low-bit layers whose kernels do not fit into 8 bits, or small; depthwise and transposed ones, whatever they hold."""
        from tfq.convert.kernels import array
        from tfq.export import low_bit

        kernels = low_bit.quantized(model)
        # Of what is not (..., in, out), TensorFlow Lite's own operators take the kernels.
        fits = (
            kernels[name].channel_axis == -1 and _takes_bytes(array(kernels[name].quantized)) for name in low_bit.names(model)
        )
        return tuple(name for name, fit in zip(low_bit.names(model), fits, strict=True) if not fit)

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, operator, bytes, bytes in float32) of each operator with constants."""
        return flatbuffer.sizes(path)


def _predict(interpreter):
    """The function from images to logits of an interpreter, of `tf.lite` or of ai-edge-litert."""
    (input_details,) = interpreter.get_input_details()
    (output_details,) = interpreter.get_output_details()
    allocated = None  # images of any size have none before they come

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


def litert(path: Path) -> dict[str, Predict]:
    """What ai-edge-litert computes of a file, by its name; nothing where it is not installed."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        return {}
    interpreter = require("ai_edge_litert.interpreter").Interpreter
    return {"ai-edge-litert": _predict(interpreter(model_content=Path(path).read_bytes()))}


def _takes_bytes(kernel):
    from tfq.export import byte_kernels

    kernel = kernel.transpose(-1, *range(kernel.ndim - 1))
    return byte_kernels.is_smaller(kernel) and byte_kernels.codes(kernel) is not None


def converted(model: Any, configure: Callable[[Any], object]) -> bytes:
    """The flatbuffer of a model; `configure` gets the converter first, to set what it wants."""
    from tfq.convert.layers import Unsupported

    tf = require("tensorflow")
    # By way of a SavedModel: the converter's own `from_keras_model` does not know Keras 3.
    with tempfile.TemporaryDirectory() as directory:
        SavedModel().save(model, Path(directory))
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        configure(converter)
        try:
            return converter.convert()
        except (_converter_error(), RuntimeError) as error:
            raise Unsupported(f"TensorFlow Lite's converter does not take this model: {_reason(model, str(error))}") from error


def _converter_error():
    return require("tensorflow.lite.python.convert_phase").ConverterError


def _reason(model, text):
    """One line of an error of the converter, with the layer where it tells one."""
    found = _REFUSED.search(text)
    if found is None:
        return next((line.strip() for line in text.splitlines() if line.strip()), "it does not say why")
    where, reason = found.groups()
    layer = _layer(model, where)
    return reason if layer is None else f"layer {layer!r}: {reason}"


def _layer(model, where):
    """The layer whose operation stands at a place such as "functional_1/conv_1/Relu@function", which TensorFlow numbers."""
    from tfq import walk

    for name in sorted((name for name, _ in walk.layers(model)), key=len, reverse=True):
        if re.search("/" + "/".join(rf"{re.escape(part)}(_\d+)?" for part in name.split("/")) + "/", where):
            return name
    return None
