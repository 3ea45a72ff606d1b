"""Parts of the training program that other programs can use: checkpoints, run directories, optimizers, weight transfer."""

from typing import TYPE_CHECKING

from tfq import lazy

if TYPE_CHECKING:
    from tfq.training.batch_statistics import restore_statistics
    from tfq.training.distillation import SoftTargets, distilling

__all__ = ["SoftTargets", "distilling", "restore_statistics"]

_HOMES = {
    **dict.fromkeys(("SoftTargets", "distilling"), "tfq.training.distillation"),
    "restore_statistics": "tfq.training.batch_statistics",
}
__getattr__, __dir__ = lazy.attributes(__name__, _HOMES)
