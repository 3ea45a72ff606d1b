"""What differs between the replicas of a distribution strategy of TensorFlow. On other backends a step is one program."""

from tfq.backend.keras import Tensor, backend, ops
from tfq.optional import require

__all__ = ["are_several", "key", "mean"]

# Odd, near 2^31 / 1.618: keys of neighbouring replicas are far apart.
_APART = 1327217885


def are_several() -> bool:
    """Whether this code runs once for each of several replicas."""
    if backend != "tensorflow":
        return False
    distribute = require("tensorflow").distribute
    return distribute.in_cross_replica_context() is False and distribute.get_strategy().num_replicas_in_sync > 1


def mean(x: Tensor) -> Tensor:
    """The mean of `x` over the replicas; they must be several."""
    tf = require("tensorflow")
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, x)


def key(key: Tensor) -> Tensor:
    """A key of noise of this replica's own, of the one that all share: that itself on the first, and where there are no others.

    Args:
        key: two integers, int32.
    """
    if not are_several():
        return key
    replica = require("tensorflow").distribute.get_replica_context().replica_id_in_sync_group
    return key + ops.stack([ops.cast(replica, "int32") * _APART, 0])
