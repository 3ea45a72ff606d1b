"""Bases for optimizers of one's own, written once for Keras 3 and for tf_keras, where larq's users have the legacy class.

`Rule` updates each variable by a formula with one state a variable; `Cases` gives each variable to one of several optimizers.
"""

from typing import TYPE_CHECKING

from tfq.backend.keras import is_legacy, keras

if TYPE_CHECKING or not is_legacy:
    from tfq.backend.optimizers.keras_3 import Cases, Rule
else:
    from tfq.backend.optimizers.tf_keras import Cases, Rule

# What these are of, and so the optimizers that `Cases` takes.
Optimizer = keras.optimizers.legacy.Optimizer if is_legacy else keras.optimizers.Optimizer

__all__ = ["Cases", "Optimizer", "Rule"]
