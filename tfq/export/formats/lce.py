"""larq-compute-engine: TensorFlow Lite with binary convolutions, each of which is seen to have become one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tfq.export import flatbuffer
from tfq.export.format import Format, reading
from tfq.export.formats.savedmodel import SavedModel
from tfq.optional import require

if TYPE_CHECKING:
    from typing import Any

    from tfq.export.format import Predict
    from tfq.export.sample import Sample


_BINARY = "LceBconv2d"


class LarqComputeEngine(Format):
    """A flatbuffer for larq-compute-engine, of a functional or Sequential model."""

    name = "lce"
    filename = "model_lce.tflite"
    needs = ("tensorflow", "larq_compute_engine")
    backends = ("tensorflow",)
    signs_only = True

    def save(self, model: Any, path: Path, sample: Sample | None = None) -> None:
        """Write the file; `sample` is not used.

        Raises:
            Unsupported: a quantized convolution would stay in float, without a word from the converter; the message names it and
                why.
            ImportError: larq-compute-engine is not installed.
        """
        from tfq.convert.layers import Unsupported

        expected = self.check(model)
        convert = require("larq_compute_engine").convert_saved_model
        with tempfile.TemporaryDirectory() as directory:
            # Signs of a kernel of more than 2^18 weights it would not compute beforehand: the convolution would stay in float.
            SavedModel().save(model, Path(directory))
            content = _converted(convert, directory)
        found = binary_convolutions(content)
        if found != expected:
            raise Unsupported(f"larq-compute-engine made {found} of {expected} quantized convolutions binary")
        Path(path).write_bytes(_without_names(content))

    @staticmethod
    def load(path: Path, threads: int = 1) -> Predict:
        """What the file computes, on so many threads."""
        import numpy as np

        from tfq.convert.layers import Unsupported

        module = require("larq_compute_engine.tflite.python.interpreter")
        with reading(path, "file of larq-compute-engine"):
            content = Path(path).read_bytes()
            require("tensorflow").lite.Interpreter(model_content=content)  # which checks it: a damaged one would end the process
        try:
            interpreter = module.Interpreter(content, num_threads=threads)
        except RuntimeError as error:  # such as of a binary convolution of one filter
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise Unsupported(f"larq-compute-engine made a file that it cannot run itself: {reason}") from error
        return lambda images: np.asarray(interpreter.predict(images))

    def check(self, model: Any) -> int:
        """Number of binary convolutions of a model; see `binary_layers.check`."""
        from tfq.export import binary_layers

        return binary_layers.check(model)

    def in_float(self, model: Any) -> tuple[str, ...]:
        """A first convolution, of pixels, and all dense layers."""
        from tfq.export import binary_layers

        return binary_layers.in_float(model)

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, operator, bytes, bytes in float32) of each operator with constants."""
        return flatbuffer.sizes(path)


def _converted(convert, directory):
    from tfq.convert.layers import Unsupported

    try:
        return convert(directory)
    except (ValueError, RuntimeError) as error:  # what its C++ code throws
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unsupported(f"the converter of larq-compute-engine fails on this model: {reason}") from error


def _without_names(flatbuffer):
    """The file without the names of tensors and signatures, which its interpreter does not use: 3 % of a binary resnet20."""
    tools = require("tensorflow.lite.tools.flatbuffer_utils")
    model = tools.convert_bytearray_to_object(bytearray(flatbuffer))
    tools.strip_strings(model)
    return bytes(tools.convert_object_to_bytearray(model))


def binary_convolutions(flatbuffer: bytes) -> int:
    """Binary convolutions in a file, whose operations TensorFlow Lite can list, though not run."""
    interpreter = require("tensorflow").lite.Interpreter(model_content=flatbuffer)
    return sum(details["op_name"] == _BINARY for details in interpreter._get_ops_details())
