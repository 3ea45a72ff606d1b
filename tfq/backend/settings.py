"""The global settings of Keras."""

import contextlib
from collections.abc import Iterator

from tfq.backend.keras import is_legacy, keras, keras_3
from tfq.terminal import Log

__all__ = ["plain_settings"]


@contextlib.contextmanager
def plain_settings(log: Log | None = None) -> Iterator[None]:
    """Context in which Keras has the settings that it comes with, whatever keras.json, its environment and the caller say.

    Float32, channels last, epsilon 1e-7, no limit of epochs and steps: for what tfq itself builds, trains and compares. The
    layers of a user follow the user's settings.

    Args:
        log: takes a line on those that were others.
    """
    settings = _settings()
    before = {name: get() for name, (get, _, _) in settings.items()}
    others = {name: value for name, value in before.items() if _text(value) != _text(settings[name][2])}
    if log is not None and others:
        named = ", ".join(f"{name}={_text(value)}" for name, value in others.items())
        log(f"Keras' settings {named} (of keras.json or the environment) are not used here")
    for name in others:
        settings[name][1](settings[name][2])
    try:
        yield
    finally:
        for name, value in others.items():
            settings[name][1](value)


def _settings():
    """Functions that get and set each global setting of Keras, and the value that it comes with."""
    config = keras_3.config
    found = {
        **_settings_of(config),
        "max_epochs": (config.max_epochs, config.set_max_epochs, None),
        "max_steps_per_epoch": (config.max_steps_per_epoch, config.set_max_steps_per_epoch, None),
        "dtype_policy": (config.dtype_policy, config.set_dtype_policy, "float32"),
    }
    if is_legacy:
        policy = keras.mixed_precision
        found |= {f"tf_keras' {name}": value for name, value in _settings_of(keras.backend).items()}
        found["tf_keras' dtype_policy"] = policy.global_policy, policy.set_global_policy, "float32"
    return found


def _settings_of(module):
    return {
        "floatx": (module.floatx, module.set_floatx, "float32"),
        "image_data_format": (module.image_data_format, module.set_image_data_format, "channels_last"),
        "epsilon": (module.epsilon, module.set_epsilon, 1e-7),
    }


def _text(setting):
    return getattr(setting, "name", None) or str(setting)
