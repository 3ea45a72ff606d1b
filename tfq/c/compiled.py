"""Compiles the C of a network on this machine and calls it, to see that it computes what the network does."""

import ctypes
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfq.files import PathLike

FLAGS = ("-std=c99", "-O2")


class NoCompiler(ImportError):
    """There is no C compiler."""


def compiler() -> list[str]:
    """The command of a C compiler: that of the environment variable CC, or cc, gcc or clang.

    Raises:
        NoCompiler: there is none.
    """
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    for first in (command[0], "gcc", "clang"):
        if shutil.which(first):
            return [first, *command[1:]]
    raise NoCompiler("no C compiler is installed (cc, gcc or clang), or the environment variable CC names none")


class Compiled:
    """The C of a network, compiled.

    Args:
        path: NAME.c.
        flags: of the compiler.
        manifest: NAME.json. Default: beside NAME.c.

    Raises:
        NoCompiler: there is no C compiler.
        ValueError: the file does not compile.
    """

    def __init__(self, path: PathLike, flags: Sequence[str] = FLAGS, manifest: PathLike | None = None) -> None:
        path = Path(path)
        self.manifest = json.loads(Path(manifest or path.with_suffix(".json")).read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as directory:
            library = Path(directory) / "network.so"
            command = [*compiler(), *flags, "-shared", "-fPIC", str(path), "-o", str(library)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                lines = result.stderr.splitlines() or ["the compiler says nothing"]
                raise ValueError(f"{path} does not compile: {next((line for line in lines if 'error' in line), lines[0])}")
            # The loaded library outlives its file.
            self._library = ctypes.CDLL(str(library))
        if not hasattr(self._library, f"{self.manifest['name']}_run"):
            raise ValueError(f"{path} is damaged: it has no function {self.manifest['name']}_run")

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Results of images, float32 or uint8: float32 (n, ...)."""
        is_pixels = images.dtype == np.uint8
        images = np.ascontiguousarray(images, np.uint8 if is_pixels else np.float32)
        if images.shape[1:] != tuple(self.manifest["input_shape"]):
            raise ValueError(f"the network takes images {tuple(self.manifest['input_shape'])}; got {images.shape[1:]}")
        run = self._library[f"{self.manifest['name']}_run{'_uint8' if is_pixels else ''}"]
        results = np.empty((len(images), *self.manifest["output_shape"]), np.float32)
        arena = np.empty(self.manifest["ram"]["arena"] // 4 + 1, np.uint32)
        for image, result in zip(images, results, strict=True):
            run(*(ctypes.c_void_p(array.ctypes.data) for array in (image, result, arena)))
        return results
