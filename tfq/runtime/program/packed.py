"""Packed tensors: where they are, and the steps that write them."""

from tfq.graph import shapes
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import input_bits
from tfq.runtime.plan.plan import PackedTensor
from tfq.runtime.program import packing
from tfq.runtime.program.builder import Builder, quantizer_code
from tfq.runtime.program.frames import Frame, fill_margin
from tfq.runtime.program.steps import NO_PLANES, NOWHERE, At, Pack

BYTES_OF_A_WORD = 4
_WORDS_OF_A_VECTOR = LANES // BYTES_OF_A_WORD


def packed_frame(builder: Builder, packed: PackedTensor) -> Frame:
    """Where a packed tensor is."""
    height, width, channels = shapes.as_image(builder.plan.shapes[packed.source])
    words = -(-channels // LANES) * _WORDS_OF_A_VECTOR if packed.bytes else -(-channels // packing.WORD)
    planes = 1 if packed.bytes else input_bits(packed.quantizer)
    return Frame(packed, (height, width, channels), builder.plan.margins[packed], words, planes)


def fill_packed(builder: Builder, packed: PackedTensor) -> None:
    """Write the margin of a packed tensor."""
    frame = packed_frame(builder, packed)
    if packed.bytes:
        word = packed.fill * packed.quantizer.highest * 0x01010101
        fill_margin(builder, packed.source, frame, word, word)
        return
    used = frame.shape[2] % packing.WORD or packing.WORD
    fill_margin(builder, packed.source, frame, -packed.fill & 0xFFFFFFFF, -packed.fill & (1 << used) - 1)


def packing_numbers(builder: Builder, packed: PackedTensor | None) -> dict[str, At | int]:
    """The numbers of a step that packs: `Pack`, or a `Convolve` in passing."""
    if packed is None:
        names = ("packed", "packed_row", "packed_words", "packed_plane", "quantizer", "packed_scale", "packed_shift")
        return dict.fromkeys(names, NOWHERE)
    frame = packed_frame(builder, packed)
    scale, shift = builder.affine(packed.affine, frame.shape[2])
    return {
        "packed": frame.inside,
        "packed_row": frame.row,
        "packed_words": frame.pixel,
        "packed_plane": NO_PLANES if packed.bytes else frame.plane,
        "quantizer": quantizer_code(packed.quantizer),
        "packed_scale": scale,
        "packed_shift": shift,
    }


def pack_tensor(builder: Builder, source: str, but: PackedTensor | None = None) -> None:
    """Write the packed tensors of a tensor, `but` the one that has been packed in passing."""
    height, width, channels = shapes.as_image(builder.plan.shapes[source])
    for packed in builder.plan.margins:
        if packed.source == source and packed != but:
            fill_packed(builder, packed)
            numbers = packing_numbers(builder, packed)
            step = Pack(source=builder.tensor(source), height=height, width=width, channels=channels, **numbers)  # type: ignore[arg-type]
            builder.add(source, "pack", step)
