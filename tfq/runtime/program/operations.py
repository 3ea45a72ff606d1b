"""The steps of all operations but convolutions and products."""

from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.runtime.plan.fuse import limits
from tfq.runtime.plan.images import Interleave
from tfq.runtime.program.builder import Builder, quantizer_code
from tfq.runtime.program.frames import Frame, copy_to_frame, fill_margin_with
from tfq.runtime.program.steps import AddTensors, CopyRows, Map, Pool


def add_operation(builder: Builder, node) -> None:
    """Add the steps of an operation.

    Raises:
        TypeError: there is no step for it.
    """
    source = node.inputs[0]
    shape = builder.plan.shapes[source]
    match node:
        case g.Reshape():
            builder.is_same(node.name, source)
        case g.ScaleShift():
            _map(builder, node, source, affine=node)
        case g.ReLU() | g.HardTanh():
            before = builder.plan.activated.get(node.name)
            _map(builder, node, before.inputs[0] if before else source, affine=before, clamp=limits(node))
        case g.Quantize():
            _map(builder, node, source, quantizer=node.quantizer)
        case g.Add():
            _add(builder, node)
        case g.Concatenate():
            _concatenate(builder, node)
        case Interleave():
            _interleave(builder, node)
        case g.ZeroPad():
            _zero_pad(builder, node, shape)
        case g.MaxPool() | g.AveragePool():
            axes = zip(shape[:2], node.pool_size, node.strides, strict=True)
            vertical, horizontal = (shapes.window(*axis, padding=node.padding) for axis in axes)
            first = vertical.before, horizontal.before
            _pool(builder, node, (vertical.out, horizontal.out), node.pool_size, node.strides, first)
        case g.GlobalMaxPool() | g.GlobalAveragePool():
            _pool(builder, node, (1, 1), shape[:2], (1, 1), (0, 0))
        case _:
            raise TypeError(f"{node.name}: {type(node).__name__} is an operation that no step computes")


def _map(builder, node, source, affine=None, clamp=None, quantizer=None):
    size, channels = builder.size(source), builder.plan.shapes[source][-1]
    # Where channels are all alike, they need not be told apart.
    pixels = size // channels if affine else 1
    clamp, (scale, shift) = builder.clamp(clamp), builder.affine(affine, channels)
    step = Map(
        source=builder.tensor(source), target=builder.tensor(node.name), pixels=pixels, channels=size // pixels,
        scale=scale, shift=shift, clamp=clamp, quantizer=quantizer_code(quantizer),
    )  # fmt: skip
    builder.add(node.name, type(node).__name__, step)


def _add(builder, node):
    first, second, *rest = node.inputs
    target, size = builder.tensor(node.name), builder.size(node.name)
    for a, b in [(first, second), *((node.name, other) for other in rest)]:
        step = AddTensors(a=builder.tensor(a), b=builder.tensor(b), target=target, size=size)
        builder.add(node.name, "Add", step)


def _concatenate(builder, node):
    channels, first = builder.plan.shapes[node.name][-1], 0
    for source in node.inputs:
        size = builder.plan.shapes[source][-1]
        step = CopyRows(
            source=builder.tensor(source), source_step=size, target=builder.tensor(node.name, first), target_step=channels,
            rows=builder.size(source) // size, size=size, blocks=1, source_block=0, target_block=0,
        )  # fmt: skip
        builder.add(node.name, "Concatenate", step)
        first += size


def _interleave(builder, node):
    _, width, channels = builder.plan.shapes[node.name]
    for source, (top, left) in zip(node.inputs, node.first, strict=True):
        height, columns, _ = builder.plan.shapes[source]
        step = CopyRows(
            source=builder.tensor(source), source_step=channels, rows=columns, size=channels, blocks=height,
            source_block=columns * channels, target=builder.tensor(node.name, (top * width + left) * channels),
            target_step=node.strides[1] * channels, target_block=node.strides[0] * width * channels,
        )  # fmt: skip
        builder.add(node.name, "interleave", step)


def _zero_pad(builder, node, shape):
    top, bottom, left, right = node.widths
    frame = Frame(builder.tensor(node.name).buffer.name, shape, (top, left, bottom, right), shape[2])
    copy_to_frame(builder, node.name, "ZeroPad", builder.tensor(node.inputs[0]), frame)
    fill_margin_with(builder, node.name, frame, 0.0)


def _pool(builder, node, out, size, strides, first):
    height, width, channels = builder.plan.shapes[node.inputs[0]]
    step = Pool(
        mean=int(isinstance(node, g.AveragePool | g.GlobalAveragePool)),
        source=builder.tensor(node.inputs[0]), height=height, width=width, channels=channels,
        target=builder.tensor(node.name), out_height=out[0], out_width=out[1],
        pool_height=size[0], pool_width=size[1], stride_y=strides[0], stride_x=strides[1], top=first[0], left=first[1],
    )  # fmt: skip
    builder.add(node.name, type(node).__name__, step)
