"""Weights by name in a small .npz file, which `tfq weights RUN_DIR OUT.npz` writes.

Kernels are stored in float16, which halves the file and moves a weight by at most 2^-11 of its size; biases and the weights of
batch normalization are few and stay float32. Every array goes by `layer/weight`, such as `stage1_block1_conv1/kernel`, so that
the file is read without the network, and on any version of Keras. `about` is a JSON text on where the weights come from.
"""

import csv
import importlib
import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfq import files
from tfq.files import PathLike
from tfq.training.run_directory import RunDirectory

_ABOUT = "about"


class WeightsError(RuntimeError):
    """The file is no such file; the message says why."""


def write(path: PathLike, layers: Mapping[str, Mapping[str, np.ndarray]], about: Mapping[str, Any]) -> None:
    """Write weights.

    Args:
        path: the .npz file.
        layers: {name of the layer: {name of the weight: array}}.
        about: what is known of them, to be written as JSON; `epochs` is read back by `epochs_behind`.
    """
    arrays = {f"{layer}/{name}": _narrow(array) for layer, weights in layers.items() for name, array in weights.items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, **{_ABOUT: json.dumps(about)}, **arrays)


def read(path: PathLike) -> dict[str, dict[str, np.ndarray]]:
    """The weights in the file, as `write` takes them; what was float16 is float32 again.

    Raises:
        WeightsError: it is damaged, or something else.
    """
    layers = {}
    for key, array in _load(path).items():
        if key != _ABOUT:
            layer, _, name = key.rpartition("/")
            layers.setdefault(layer, {})[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return layers


def about(path: PathLike) -> dict[str, Any]:
    """What `write` was told about the weights.

    Raises:
        WeightsError: it is damaged, or something else.
    """
    return json.loads(str(_load(path)[_ABOUT]))


def epochs_behind(source: PathLike) -> int | None:
    """Epochs of training behind the weights that `--init_from=source` names, those of the run it started from included.

    None where that is not known: a .keras file outside of a run directory, or one of these files is gone.

    Args:
        source: run directory, checkpoint in one, or .npz file.
    """
    source = Path(source)
    if source.suffix == ".npz":
        return about(source).get("epochs") if source.is_file() else None
    directory = RunDirectory(source if source.is_dir() else source.parent)
    if not directory.history.is_file():
        return None
    with directory.history.open(newline="", encoding="utf-8") as file:
        own = sum(1 for _ in csv.DictReader(file))
    start = (directory.read_flags() or {}).get("init_from")
    before = epochs_behind(start) if start else 0
    return None if before is None else own + before


def _narrow(array):
    """A kernel as float16, anything else as it is; bfloat16 is no type of NumPy's files."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    is_kernel = array.ndim > 1 and array.dtype == np.float32
    return array.astype(np.float16) if is_kernel and np.abs(array).max(initial=0) < np.finfo(np.float16).max else array


def _load(path):
    try:
        with zipfile.ZipFile(path):  # np.load would take what is no archive for a pickle, and say so
            pass
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path} cannot be read as .npz: {error}") from error
    if _ABOUT not in arrays or len(arrays) < 2:
        raise WeightsError(f"{path} holds no weights of tfq: it has {', '.join(arrays) or 'nothing'}")
    return arrays


if __name__ == "__main__":  # the former name of the command; by text, as a command stands above what it calls
    sys.exit(importlib.import_module("tfq.cli.weights").main())
