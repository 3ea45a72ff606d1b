"""larq's activation functions: those of `tfq.activations`."""

from tfq.activations import hard_tanh, leaky_tanh

__all__ = ["hard_tanh", "leaky_tanh"]
