"""Optional packages: imported where they are used; where one is missing, the extra of tfq that brings it is named.

Imports nothing that is installed, Keras included.
"""

import importlib
import importlib.util
import sys
from typing import Any

# Packages by the names that they are imported by.
_EXTRAS = {
    "tensorflow": "tensorflow",
    "keras_flops": "tensorflow",
    "tensorboard": "tensorflow",
    "tf_keras": "tf_keras",
    "larq": "larq",
    "tensorflow_model_optimization": "tfmot",
    "larq_compute_engine": "export",
    "ai_edge_litert": "export",
    "numba": "runtime",
    "safetensors": "runtime",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "jax": "jax",
    "torch": "torch",
    "absl": "train",
    "grain": "stream",
    "pyarrow": "bulk",
    "dask": "dask",
    "distributed": "dask",
    "sklearn": "train",
    "PIL": "train",
    "rich": "runtime",
    "matplotlib": "train",
}

# There are none, or they need NumPy 1, of which there is none.
_NOT_FOR_3_13 = ("larq", "tensorflow_model_optimization", "larq_compute_engine")


def missing(package: str, who: str = "this", extra: str | None = None) -> str:
    """A line that says that a package is missing, and how to get it.

    Args:
        package: the name that it is imported by.
        who: what needs it.
        extra: the extra of tfq to name; by default the one that is known to bring it.
    """
    extra = extra or _EXTRAS.get(package)
    install = f"pip install '{_with_extra(extra)}'" if extra else f"pip install {package}"
    reason = "is not installed"
    if package in _NOT_FOR_3_13 and sys.version_info >= (3, 13):
        reason = f"is not to be had for Python 3.{sys.version_info.minor}"
        install = f"with Python 3.12, {install}"
    return f"{who} needs `{package}`, which {reason}: {install}"


def _with_extra(extra):
    """What is installed with an extra: tfq, unless this is tfq-runtime alone, whose commands have an extra of their own."""
    if extra == "runtime" and importlib.util.find_spec("tfq.layers") is None:
        return "tfq-runtime[commands]"
    return f"tfq[{extra}]"


def require(module: str, extra: str | None = None) -> Any:
    """Import an optional module, or say which extra of tfq brings it.

    Args:
        module: dotted name, such as `"sklearn.datasets"`.
        extra: name of the extra; by default the one that is known to bring the module.

    Returns:
        The imported module.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise
        raise ImportError(missing(package, extra=extra)) from error


def require_installed(*modules: str) -> None:
    """Raise ImportError, which names the extra, unless these modules are installed; imports none of them."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ImportError(missing(module))
