"""Callbacks for `model.fit`: checkpoints, reports, curves, stop rules."""

from tfq.callbacks.bfloat16 import Bfloat16Training
from tfq.callbacks.complexity import Complexity
from tfq.callbacks.data_epoch import DataEpoch
from tfq.callbacks.diagnosis import Diagnosis
from tfq.callbacks.flip_ratio import FlipRatio
from tfq.callbacks.preemption import Preemption
from tfq.callbacks.progress import Progress
from tfq.callbacks.quantizer_progress import QuantizerProgress
from tfq.callbacks.record import Record
from tfq.callbacks.report import Report
from tfq.callbacks.speed import Speed
from tfq.callbacks.stop import StopOnCollapse, StopOnNaN

__all__ = [
    "Bfloat16Training",
    "Complexity",
    "DataEpoch",
    "Diagnosis",
    "FlipRatio",
    "Preemption",
    "Progress",
    "QuantizerProgress",
    "Record",
    "Report",
    "Speed",
    "StopOnCollapse",
    "StopOnNaN",
]
