"""Quantizers of tfq in TensorFlow Model Optimization (tfmot), for tf_keras: needs the extra `tfmot`."""

from tfq.interop.tfmot.config import TfqQuantizeConfig
from tfq.interop.tfmot.quantizer import TfqQuantizer
from tfq.interop.tfmot.scheme import TfqQuantizeScheme

__all__ = ["TfqQuantizeConfig", "TfqQuantizeScheme", "TfqQuantizer"]
