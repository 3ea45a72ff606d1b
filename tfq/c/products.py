"""The C of a convolution or product of matrices, by the arithmetic that the plan chose, and of what is computed with it."""

import math

import numpy as np

from tfq.c import bits, floats, int8, integers
from tfq.c.arena import Buffer
from tfq.c.constants import NULL, Text
from tfq.c.registry import register_c
from tfq.c.source import NO_CLAMP, Source, as_floats, places
from tfq.c.windows import reaches_outside, windows_of
from tfq.graph import nodes as g
from tfq.runtime.plan.images import PlacedConv2D
from tfq.runtime.plan.paths import input_bits, is_depthwise, kernel_planes, on_bits, on_bytes, scales_inputs
from tfq.runtime.program import threshold
from tfq.runtime.program.accumulator import kernel_scale
from tfq.runtime.program.packing import integers as whole_weights

_MOST_OF_8_BITS = 2**8 - 1
_MOST_OF_16_BITS = 2**15 - 1


@register_c(g.Conv2D, PlacedConv2D, g.Dense)
def product(source: Source, node: g.Conv2D | g.Dense) -> None:
    """Add the calls of a convolution or product, and those that pack its result for others."""
    fused = source.plan.fused[node.name]
    source.need("windows", "results", *(["fixed"] if source.steps else []))
    if on_bits(node):
        _on_integers(source, fused, bits.product)
        kind = f"{input_bits(node.quantizer)}x{kernel_planes(node.kernel)} bits"
    elif on_bytes(node):
        _on_integers(source, fused, integers.product)
        kind = "int8"
    elif source.edges.takes(source.plan, node):
        _emit_numbers(source, fused, int8.kernel_scale(node), int8.product)
        kind = "int8"
        source.compute_floats(node.name, kind)
    else:
        _in_float(source, fused)
        kind = "float"
        source.compute_floats(node.name, kind)
    if not getattr(node, "is_empty", False):
        height, width, filters = source.image(node.name)
        source.count(kind, height * width * filters * math.prod(node.kernel.shape[:-1]))
    if fused.chain is None and fused.result not in source.deferred:
        source.pack(fused.result, but=fused.packed)


def _on_integers(source, fused, emit):
    node = fused.node
    bound = int(np.abs(whole_weights(node.kernel)).sum(axis=(0, 1)).max()) * node.quantizer.highest
    scale = kernel_scale(node)
    if fused.chain is not None:
        emit(source, node, _thresholds(source, fused, scale, bound), places(source, packed=source.packed(fused.packed)), None)
    elif bound <= _MOST_OF_16_BITS and _is_pooled_alone(source, fused):
        offset, step = _as_bytes(source, node)
        results, size = _numbers(source, fused, scale, offset, step), source.size(node.name)
        sums = Buffer(fused.result, "uint8_t", size) if step else Buffer(fused.result, "int16_t", 2 * size)
        source.deferred[fused.result] = results, sums
        source.need("kept")
        emit(source, node, results, places(source, sums=sums), None)
    else:
        _emit_numbers(source, fused, scale, emit)


def _is_pooled_alone(source, fused):
    """Whether pools alone read a result, which they can finish as well."""
    pools = (g.MaxPool, g.AveragePool, g.GlobalMaxPool, g.GlobalAveragePool)
    readers = source.readers(fused.result)
    is_plain = fused.affine is None and fused.residual is None and not scales_inputs(fused.node)
    is_read = any(packed.source == fused.result for packed in source.plan.margins) or source.is_output(fused.result)
    is_read = is_read or source.is_residual(fused.result)
    return is_plain and not is_read and bool(readers) and all(isinstance(node, pools) for node in readers)


def _as_bytes(source, node):
    """The offset and step by which sums a are bytes (a + offset) / step; step is 0 where bytes do not hold them.

    With inputs of -1 and 1, all sums are even or all are odd where the weights of each filter add up to such a number.
    """
    totals = np.abs(whole_weights(node.kernel)).sum(axis=(0, 1))
    bound = int(totals.max()) * node.quantizer.highest
    leaves_out = getattr(node, "pad_value", 0) == 0 and reaches_outside(node, windows_of(source, node))
    are_alike = isinstance(node.quantizer, g.Sign) and not leaves_out and bool(np.all((totals - bound) % 2 == 0))
    step = 2 if are_alike else 1
    return (bound, step) if 2 * bound // step <= _MOST_OF_8_BITS else (0, 0)


def _in_float(source, fused):
    node = fused.node
    scale = np.ones(1, np.float32)
    if isinstance(node.kernel, g.PackedKernel):
        scale = kernel_scale(node) if node.quantizer else node.kernel.scale / np.float32(floats.denominator(node.kernel))
    elif node.quantizer is not None:
        scale = scale / np.float32(node.quantizer.highest)
    _emit_numbers(source, fused, scale, floats.depthwise if is_depthwise(node) else floats.product)


def _emit_numbers(source, fused, scale, emit):
    node = fused.node
    target = source.tensor(fused.result) if fused.result in source.plan.needed else NULL
    residual = NULL if fused.residual is None else source.tensor(fused.residual)
    packed = NULL if fused.packed is None else source.packed(fused.packed)
    where = places(source, _input_scale(source, node), residual, target, packed)
    over = (target, residual) if isinstance(target, Buffer) and isinstance(residual, Buffer) else None
    emit(source, node, _numbers(source, fused, scale), where, over)


def _bias(source, node) -> Text:
    return source.constants.array(node.bias, "f4")


def _numbers(source, fused, scale, sum_offset=0, sum_step=0) -> Text:
    filters = fused.node.kernel.shape[-1]
    affine_scale, affine_shift = source.affine(fused.affine)
    low, high = fused.clamp or NO_CLAMP
    return source.constants.structure(
        "tfq_results", filters=filters, thresholds=NULL, flips=NULL,
        scale=source.constants.array(as_floats(scale, filters), "f4"), bias=_bias(source, fused.node),
        affine_scale=affine_scale, affine_shift=affine_shift, low=low, high=high, sum_offset=sum_offset, sum_step=sum_step,
        packing=source.packing(fused.packed),
    )  # fmt: skip


def _thresholds(source, fused, scale, bound) -> Text:
    node = fused.node
    filters = node.kernel.shape[-1]
    bias = np.zeros(filters, np.float32) if node.bias is None else np.asarray(node.bias, np.float32)
    limits, flips = threshold.fold(as_floats(scale, filters), bias, fused.chain, bound)
    words = np.packbits(np.pad(flips, (0, -filters % 32)), bitorder="little").view("<u4")
    return source.constants.structure(
        "tfq_results", filters=filters, thresholds=source.constants.array(limits, "i4"),
        flips=source.constants.array(words, "u4"), scale=NULL, bias=NULL, affine_scale=NULL, affine_shift=NULL,
        low=1.0, high=-1.0, sum_offset=0, sum_step=0, packing=source.packing(fused.packed),
    )  # fmt: skip


def _input_scale(source, node):
    """Compute K, the scale of the inputs of each window, where a convolution has it; gives where."""
    if not scales_inputs(node):
        return NULL
    source.need("input_scale")
    windows = windows_of(source, node)
    target = Buffer(("K", node.name), "float", 4 * windows["out_height"] * windows["out_width"])
    means = source.scratch(node.name, "float", 4 * windows["height"] * windows["width"])
    how = source.constants.structure("tfq_windows", **windows)
    source.call(node.name, "tfq_input_scale", how, float(abs(node.pad_value)), source.tensor(node.inputs[0]), means, target)
    return target
