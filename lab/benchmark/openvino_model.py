"""OpenVINO as an engine of the benchmark of inference: `pip install openvino nncf`. They are in no lock."""

import importlib.util

import numpy as np

from tfq.optional import missing, require

_CALIBRATION = 200


def export(model, tflite, images, directory) -> dict:
    """Files by engine: the float32 TFLite file as it is, and one that NNCF made int8 of it, with its default settings.

    Args:
        model: the Keras model that both must agree with.
        tflite: the float32 TFLite file of it.
        images: float32, to calibrate and to compare with.
        directory: where to write.

    Returns:
        The files; of what is not installed there are none, and a line says so.

    Raises:
        ExportMismatch: a file computes something else.
    """
    from tfq.export import verify
    from tfq.export.formats import FORMATS

    files = {}
    for engine, package, lossy in (
        ("openvino_float32", "openvino", None),
        ("openvino_int8", "nncf", FORMATS["tflite_int8"].lossy),
    ):
        if importlib.util.find_spec("openvino") is None or importlib.util.find_spec(package) is None:
            print(f"{engine}: left out, {missing(package, engine)}")
            continue
        path = tflite if package == "openvino" else _in_int8(tflite, images, directory / "openvino_int8.xml")
        predict = load(path, 1)
        # In small batches, as the interpreter of TFLite takes them: a shape is compiled by itself.
        verify.compare(engine, model, lambda x, predict=predict: np.concatenate([predict(row[None]) for row in x]), images, lossy)
        files[engine] = path
    return files


def _in_int8(tflite, images, path):
    openvino, nncf = require("openvino"), require("nncf")
    rows = nncf.Dataset([row[None] for row in images[:_CALIBRATION]])
    openvino.save_model(nncf.quantize(openvino.Core().read_model(tflite), rows, subset_size=_CALIBRATION), path)
    return path


def size(path) -> int:
    """Bytes of a file; of OpenVINO's own, with the weights beside it."""
    return sum(file.stat().st_size for file in {path, path.with_suffix(".bin") if path.suffix == ".xml" else path})


def load(path, threads):
    """The function from a batch of images to results. A number of images is compiled by itself: faster than any number."""
    core, compiled = require("openvino").Core(), {}
    # It would compute in bfloat16 unasked where the processor has that.
    settings = {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
    }  # fmt: skip

    def predict(images):
        if images.shape not in compiled:
            model = core.read_model(path)
            model.reshape(images.shape)
            compiled[images.shape] = core.compile_model(model, "CPU", settings).create_infer_request()
        return np.array(compiled[images.shape].infer([images], share_inputs=True)[0])

    return predict
