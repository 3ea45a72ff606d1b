"""Quantized layers of tfq in hls4ml 1.3, for its Keras 3 front end: the import registers them.

    import tfq.interop.hls4ml
    import hls4ml

    config = hls4ml.utils.config_from_keras_model(model, granularity="name", default_precision="fixed<32,16>")
    project = hls4ml.converters.convert_from_keras_model(model, hls_config=config, output_dir="hls", backend="Vitis")

`QuantConv2D`, `QuantDense`, `QuantActivation` and `BatchNormalization` are taken. Inputs and kernels are whole numbers of as
many bits as they need, and the scales come behind the products. `granularity="name"` lets hls4ml find the types of sums.
"""

from tfq.interop.hls4ml.handlers import QuantizedLayerHandler

__all__ = ["QuantizedLayerHandler"]
