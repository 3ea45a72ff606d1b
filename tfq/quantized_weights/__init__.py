"""The quantized weights of a layer or a model: out as arrays and as codes, into a file, and in again.

Checkpoints of Keras hold the latent kernels, from which a training goes on. These functions deal in the kernels that the forward
pass uses. Each goes by the path of its layer and its name, such as `block1/conv/kernel`; in a layer by itself by `kernel`.
Kernels whose quantizer is off (32 bits) are left out.
"""

from tfq.quantized_weights.reading import arrays, codes
from tfq.quantized_weights.storing import assign, save, stored

__all__ = ["arrays", "assign", "codes", "save", "stored"]
