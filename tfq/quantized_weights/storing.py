"""Quantized kernels in the place of latent ones: for a while, in a file, or from elsewhere."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfq import files, walk
from tfq.backend.keras import keras, ops
from tfq.files import PathLike
from tfq.layers.kernel import QuantizedKernel
from tfq.quantized_weights import kernels
from tfq.quantizers import Stored
from tfq.quantizers.grids import Codes


def save(model: keras.Model, path: PathLike) -> None:
    """Save a model with its quantized kernels in the place of the latent ones: `keras.models.load_model` reads it.

    `predict` and `evaluate` of the model that is read give the same, to the last bit. It knows its bits, grids and codes. Its
    kernels are not quantized again, and no training moves them: their quantizers are `tfq.quantizers.Stored`. `model` itself
    stays as it is. A compiled model is saved with its optimizer, as by Keras.

    Args:
        model: built model that Keras can save.
        path: file that ends in .keras.

    Raises:
        ValueError: another ending; or as in `arrays`.
    """
    if Path(path).suffix != ".keras":
        raise ValueError(f"quantized weights are saved in a file that ends in .keras; got {str(path)!r}")
    with stored(model), files.replacing(path) as temporary:
        model.save(temporary)


def assign(source: keras.layers.Layer, values: Mapping[str, np.ndarray | Codes]) -> None:
    """Put quantized kernels into a layer or model, which then takes them as they are: their quantizers become `Stored`.

    Args:
        source: built layer or model.
        values: by name, what `arrays` or `codes` gave, of some or all of its kernels.

    Raises:
        ValueError: a name or a shape is not that of a quantized kernel of `source`, or values are not on the grid of the
            quantizer, as it is in `source`. Nothing is changed then.
    """
    named = kernels.named(source)
    given = {name: np.asarray(value.values() if isinstance(value, Codes) else value, "float32") for name, value in values.items()}
    for name, array in given.items():
        if name not in named:
            raise ValueError(f"there is no quantized kernel {name!r}; there are {', '.join(named)}")
        if array.shape != tuple(named[name].latent.shape):
            raise ValueError(f"kernel {name!r} has the shape {tuple(named[name].latent.shape)}; got {array.shape}")
    before = {name: (kernels.array(named[name].latent), named[name].quantizer) for name in given}
    for name, array in given.items():
        _store(named[name], array)
    try:
        for name, array in given.items():
            if named[name].grid is not None:
                kernels.encoded(name, named[name], array)
    except ValueError:
        for name, (latent, quantizer) in before.items():
            named[name].set_quantizer(quantizer)
            named[name].latent.assign(latent)
        raise
    _forget_traces(source)


@contextlib.contextmanager
def stored(source: keras.layers.Layer) -> Iterator[None]:
    """As long as the context lasts, a layer or model holds its quantized kernels in the place of the latent ones.

    `model.get_weights()` and `model.save_weights(path)` give them then; the latter are known in the file, so that a model that
    loads them takes them as they are. What is compiled or traced in the context must not be used outside of it.

    Args:
        source: built layer or model.

    Raises:
        ValueError: as in `arrays`.
    """
    named = kernels.named(source)
    variables = [variable for kernel in named.values() for variable in kernels.variables(kernel)]
    before = [ops.convert_to_numpy(variable) for variable in variables]
    quantizers = [kernel.quantizer for kernel in named.values()]
    try:
        for name, values in kernels.values(source, named).items():
            _start(named[name])
            _store(named[name], values)
        yield
    finally:
        for kernel, quantizer in zip(named.values(), quantizers, strict=True):
            kernel.set_quantizer(quantizer)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _start(kernel: QuantizedKernel) -> None:
    """Let a quantizer keep what follows the kernel until a training starts, as the step of LSQ does."""
    if kernel.state is None:
        return
    quantized, variables = kernels.array(kernel.quantized), kernels.variables(kernel)[1:]
    before = [ops.convert_to_numpy(variable) for variable in variables]
    kernel.state.observe(kernel.latent)
    if not np.array_equal(kernels.array(kernel.quantized), quantized):  # it learns from each kernel anew
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _store(kernel, values):
    if not isinstance(kernel.quantizer, Stored):
        kernel.set_quantizer(Stored(kernel.quantizer))
    kernel.latent.assign(values)


def _forget_traces(source):
    """Let Keras compile anew what it had compiled with the former quantizers."""
    for _, layer in [("", source), *walk.layers(source)]:
        for function in ("train_function", "test_function", "predict_function"):
            if getattr(layer, function, None) is not None:
                setattr(layer, function, None)
