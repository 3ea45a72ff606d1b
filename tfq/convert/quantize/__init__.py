"""A float model of Keras as a quantized one."""

from typing import Any, NamedTuple

from tfq import quantizers
from tfq.backend.keras import keras
from tfq.convert.quantize.classes import has_kernel, quantized_classes, reason_to_leave
from tfq.convert.quantize.mend import mending
from tfq.convert.quantize.names import unused
from tfq.convert.quantize.report import Change, Report
from tfq.convert.quantize.skip import Skip, skipped
from tfq.convert.quantize.steps import Step, steps_of
