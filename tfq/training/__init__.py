"""Parts of the training program that other programs can use: checkpoints, run directories, optimizers, weight transfer."""

from typing import TYPE_CHECKING

from tfq import lazy

if TYPE_CHECKING:
    from tfq.training.distillation import SoftTargets, distilling

__all__ = ["SoftTargets", "distilling"]

__getattr__, __dir__ = lazy.attributes(__name__, dict.fromkeys(__all__, "tfq.training.distillation"))
