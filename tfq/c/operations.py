"""The C of all operations but convolutions and products."""

from tfq.c.constants import NULL
from tfq.c.registry import register_c
from tfq.c.source import NO_CLAMP, NO_QUANTIZER, Source, Structure, quantizer_code
from tfq.c.windows import fields
from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.runtime.plan.fuse import limits
from tfq.runtime.plan.images import Interleave


@register_c(g.Reshape)
def reshape(source: Source, node: g.Reshape) -> None:
    """A tensor lies where the one lies that is reshaped; unless the caller's input would be his output."""
    x, y = source.tensor(node.inputs[0]), source.tensor(node.name)
    if x.name != y.name:
        _map(source, node, node.inputs[0])


@register_c(g.ScaleShift)
def scale_shift(source: Source, node: g.ScaleShift) -> None:
    """One product and one sum a value."""
    _map(source, node, node.inputs[0], affine=node)


@register_c(g.ReLU, g.HardTanh)
def clamp(source: Source, node: g.ReLU | g.HardTanh) -> None:
    """With the scale and shift in front, if there are any."""
    before = source.plan.activated.get(node.name)
    _map(source, node, before.inputs[0] if before else node.inputs[0], affine=before, clamp=limits(node))


@register_c(g.Quantize)
def quantize(source: Source, node: g.Quantize) -> None:
    """The values of a quantizer in float."""
    source.need("results")
    _map(source, node, node.inputs[0], quantizer=quantizer_code(node.quantizer))


def _map(source, node, name, affine=None, clamp=NO_CLAMP, quantizer=NO_QUANTIZER):
    source.need("results", "elementwise")
    size, channels = source.size(name), source.plan.shapes[name][-1]
    x, y = source.tensor(name), source.tensor(node.name)
    low, high = (float(limit) for limit in clamp)
    scale, shift = source.affine(affine)
    source.call(node.name, "tfq_map", size // channels, channels, scale, shift, low, high, quantizer, x, y, over=(y, x))


@register_c(g.Add)
def add(source: Source, node: g.Add) -> None:
    """Two at a time."""
    source.need("results", "elementwise")
    first, second, *rest = (source.tensor(name) for name in node.inputs)
    target = source.tensor(node.name)
    source.call(node.name, "tfq_add", source.size(node.name), first, second, target, over=(target, first))
    for other in rest:
        source.call(node.name, "tfq_add", source.size(node.name), target, other, target)


def _copy(source, node, x, **rows):
    source.need("copy")
    how = source.constants.structure("tfq_rows", **rows)
    source.call(node.name, "tfq_copy", how, x, source.tensor(node.name))


@register_c(g.Concatenate)
def concatenate(source: Source, node: g.Concatenate) -> None:
    """The channels of one after another."""
    channels, first = source.plan.shapes[node.name][-1], 0
    for name in node.inputs:
        size = source.plan.shapes[name][-1]
        _copy(
            source, node, source.tensor(name), blocks=1, rows=source.size(name) // size, size=size, source_block=0,
            source_row=size, target_first=first, target_block=0, target_row=channels,
        )  # fmt: skip
        first += size


@register_c(Interleave)
def interleave(source: Source, node: Interleave) -> None:
    """The parts of a transposed convolution."""
    _, width, channels = source.image(node.name)
    for name, (top, left) in zip(node.inputs, node.first, strict=True):
        height, columns, _ = source.image(name)
        _copy(
            source, node, source.tensor(name), blocks=height, rows=columns, size=channels, source_block=columns * channels,
            source_row=channels, target_first=(top * width + left) * channels,
            target_block=node.strides[0] * width * channels, target_row=node.strides[1] * channels,
        )  # fmt: skip


@register_c(g.ZeroPad)
def zero_pad(source: Source, node: g.ZeroPad) -> None:
    """Zeros, and the image among them."""
    source.need("copy")
    top, _, left, _ = node.widths
    height, width, channels = source.image(node.inputs[0])
    row = source.image(node.name)[1] * channels
    source.call(node.name, "tfq_clear", source.size(node.name), source.tensor(node.name))
    _copy(
        source, node, source.tensor(node.inputs[0]), blocks=height, rows=1, size=width * channels, source_block=width * channels,
        source_row=0, target_first=top * row + left * channels, target_block=row, target_row=0,
    )  # fmt: skip


@register_c(g.MaxPool, g.AveragePool)
def pool(source: Source, node: g.MaxPool | g.AveragePool) -> None:
    """Windows that are cut off at the edges."""
    shape = source.image(node.inputs[0])
    axes = zip(shape[:2], node.pool_size, node.strides, strict=True)
    found = [shapes.window(*axis, padding=node.padding) for axis in axes]
    _pool(source, node, fields(shape, node.pool_size, node.strides, (1, 1), *found), isinstance(node, g.AveragePool))


@register_c(g.GlobalMaxPool, g.GlobalAveragePool)
def global_pool(source: Source, node: g.GlobalMaxPool | g.GlobalAveragePool) -> None:
    """One window."""
    shape = source.image(node.inputs[0])
    whole = shapes.Window(1, 0, 0)
    _pool(source, node, fields(shape, shape[:2], (1, 1), (1, 1), whole, whole), isinstance(node, g.GlobalAveragePool))


def _pool(source, node, windows, is_mean):
    """The call of a pool, which packs its result in passing where that is all that is wanted of it."""
    name, channels = node.inputs[0], windows["channels"]
    packed = [packed for packed in source.plan.margins if packed.source == node.name]
    in_passing = packed[0] if len(packed) == 1 and not source.is_read_in_float(node.name) else None
    if in_passing is None:
        to = Structure("tfq_pooled", (channels, source.tensor(node.name), NULL, NULL))
    else:
        packing = source.constants.structure("tfq_packing", **source.packing(in_passing))
        row = source.scratch(node.name, "float", 4 * channels)
        to = Structure("tfq_pooled", (0, row, packing, source.packed(in_passing)))
        source.packed_in_passing.add(in_passing)
    source.need("windows", "results", "pooled")
    how = source.constants.structure("tfq_windows", **windows)
    if name not in source.deferred:
        source.need("pool")
        source.call(node.name, "tfq_pool", how, is_mean, source.tensor(name), to)
        return
    source.need("pool_integers")
    source.call(node.name, "tfq_pool_integers", how, is_mean, *source.deferred[name], to)
