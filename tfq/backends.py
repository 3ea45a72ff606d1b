"""Which backend of Keras is installed. Imports none, since Keras reads the choice when it is imported."""

import importlib.util
import os

_BACKENDS = ("tensorflow", "jax", "torch")


def first_installed() -> str | None:
    """Name of the first one that is installed, TensorFlow before the others; None where none is."""
    return next((name for name in _BACKENDS if importlib.util.find_spec(name)), None)


def choose() -> None:
    """For a command, before it imports Keras: run on what is installed where TensorFlow, Keras' own choice, is not.

    A backend that the environment names stays. TensorFlow is told to report errors only, which it reads when it is imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    installed = first_installed()
    if installed not in (None, "tensorflow") and not os.environ.get("KERAS_BACKEND"):
        os.environ["KERAS_BACKEND"] = installed
