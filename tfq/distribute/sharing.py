"""What the engines of several devices share."""

from typing import Any

from tfq import data
from tfq.distribute.alone import Alone
from tfq.distribute.shards import TestShard, TrainingShard


class Sharing(Alone):
    """Devices that each take a part of the global batch."""

    def metrics(self, metrics: list[Any]) -> dict[str, list[Any]]:
        """Weighted ones, which the images that fill up a test do not enter."""
        return {"weighted_metrics": metrics}

    def shards(self, batches: Any, val_batches: data.Batches) -> tuple[TrainingShard, TestShard]:
        """What this process makes of the batches of training and test."""
        return (
            TrainingShard(batches, self.worker, self.workers),
            TestShard(val_batches, self.worker, self.workers, self.replicas),
        )
