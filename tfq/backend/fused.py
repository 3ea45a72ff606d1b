"""Operations that one backend has as a single op."""

from tfq.backend.keras import Tensor, backend, is_legacy
from tfq.optional import require

__all__ = ["fused_batch_norm"]


def fused_batch_norm(x: Tensor, scale: Tensor, offset: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalization as one op, with batch statistics; None where the backend has no such op.

    Args:
        x: float32, (N, H, W, C).
        scale: gamma, (C,).
        offset: beta, (C,).
        epsilon: added to the variance; at least 1.001e-5 (a smaller one is raised to that by the op).

    Returns:
        The normalized tensor, the batch mean, and the batch variance times M / (M - 1), where M = N * H * W.
    """
    return require("tensorflow").compat.v1.nn.fused_batch_norm(x, scale, offset, epsilon=epsilon, is_training=True)


if backend != "tensorflow" or is_legacy:  # tf_keras' own layer is fused already
    fused_batch_norm = None  # type: ignore[assignment]
