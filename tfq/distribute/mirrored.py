"""Several devices of one process, on TensorFlow."""

from tfq.distribute.strategy import Strategy
from tfq.optional import require


class Mirrored(Strategy):
    """`tf.distribute.MirroredStrategy` on all GPUs that TensorFlow sees; without any, on its processors, of which there may be
    several virtual ones.
    """

    def __init__(self) -> None:
        tf = require("tensorflow")
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        super().__init__(tf.distribute.MirroredStrategy([device.name for device in devices]))
