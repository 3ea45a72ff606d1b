"""The steps of a program, each with its numbers by name: the one declaration for who writes them and for who reads them.

A program is an int64 matrix with a row a step: the code of the step, then its numbers in the order of the fields below. NumPy
reads a row by `Step.dtype`, compiled code by `compiled.record`.

Numbers are sizes, and positions in two arrays of 32-bit elements. Constants belong to the network (weights, tables). Memory
belongs to one image in flight. Both arrays are seen as integers and as float32. NOWHERE stands for a position that is not used.

A plain tensor is (height, width, channels) of float32. A frame is a tensor with a margin of padding around it.
A packed tensor is a frame of quantized values. In one of bits, channel c is bit c mod 32 of word c // 32 of its pixel, and unused
bits are 0; b bits a value are b such planes, the lowest bit first. In one of bytes, channel c is byte c of its pixel, whose words
are a multiple of 4 and whose unused bytes may be anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import NamedTuple

import numpy as np

from tfq.runtime.lanes import LANES

NOWHERE = -1

# Values of a step's `quantizer`: none, the sign, or the number of bits of levels.
NO_QUANTIZER, SIGN = -1, 0

# The distance of the planes of a packed tensor of bytes, which has none.
NO_PLANES = 0

# What is summed over the words (or numbers) of a window, x that of the inputs and w, m those of a kernel.
XOR = 0  # popcount(x ^ w)
MASKED = 1  # popcount((x ^ w) & m)
FLOAT = 2  # x w
BYTES = 3  # x w of four unsigned bytes x and signed bytes w
DEPTHWISE = 4  # x w in float32, where each filter has an input of its own
TWO_BITS = 5  # x w of two planes each, of words in pairs: x's low bits and high bits; w's high bits ^ low bits, and high bits
SUMS = (XOR, MASKED, FLOAT, BYTES, DEPTHWISE, TWO_BITS)
# Of 3 x 3 taps, for four windows at once: see `compiled.winograd`. The inner loops are those of FLOAT and of BYTES.
WINOGRAD = 6
WINOGRAD_BYTES = 7
NUMBERS_OF_A_TILE = 16
# Likewise for four windows one below the other: see `compiled.winograd_four`. Each number has the taps of a row.
WINOGRAD_FOUR = 8
ROWS_OF_FOUR, NUMBERS_OF_FOUR, TAPS_BESIDE = 4, 6, 3
# And for 4 x 4 windows: see `compiled.winograd_square`.
WINOGRAD_SQUARE = 9
# Of 5 x any taps, for four windows below each other: see `compiled.along_columns`. The inner loop is that of FLOAT.
ALONG_COLUMNS = 10
NUMBERS_OF_A_COLUMN = 8
WINDOWS_OF_A_COLUMN = 4

# Numbers of positions and of vectors of filters that there are tiles of. A tile of TWO_BITS has three sums for one.
POSITIONS = (8, 4, 1)
POSITIONS_OF_TWO_BITS = (8, 2)
VECTORS = (2, 1)


class Tile(NamedTuple):
    """Windows side by side, and vectors of filters, whose sums are computed together in registers."""

    positions: int
    vectors: int


class Buffer(NamedTuple):
    """A part of the memory that has no place yet: what it holds, and its elements."""

    name: object
    size: int


class At(NamedTuple):
    """A position in memory: so many elements behind the beginning of a buffer."""

    buffer: Buffer
    offset: int = 0


# A field of a step. Its type says what the number is: `Memory` or `Constant` where it is a position.
Memory = At | int
Constant = int


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step whose positions are still those of buffers."""

    def past_the_end(self) -> dict[str, int]:
        """By the name of a field, elements that the step reads or writes past the end of the buffer there."""
        return {}

    def in_place(self) -> tuple[str, ...]:
        """Two fields, one that is read and one that is written element by element, so that both may be one place; or none."""
        return ()

    def writes_exactly(self) -> bool:
        """Whether the step writes its whole `target` and nothing past the end, so that it may be memory of the caller."""
        return False

    def uses(self) -> Iterator[tuple[Buffer, int]]:
        """Each buffer that the step reads or writes, with the elements that it needs there."""
        past = self.past_the_end()
        for field in fields(self):
            at = getattr(self, field.name)
            if isinstance(at, At):
                yield at.buffer, at.buffer.size + past.get(field.name, 0)

    def numbers(self, places: dict[object, int]) -> list[int]:
        """The row of the step, where `places` has the position of each buffer by its name."""
        values = (getattr(self, field.name) for field in fields(self))
        return [code(type(self)), *(places[at.buffer.name] + at.offset if isinstance(at, At) else at for at in values)]

    @classmethod
    @cache
    def dtype(cls) -> np.dtype:
        """The row of such a step as a record; its first field is `code`."""
        return np.dtype([(name, np.int64) for name in ("code", *(field.name for field in fields(cls)))], align=True)


@dataclass(frozen=True, kw_only=True)
class FillMargin(Step):
    """Write the margin of a frame: `full` to each word of a pixel but the last, and `last` to that."""

    frame: Memory
    height: int
    width: int
    top: int
    left: int
    bottom: int
    right: int
    words: int
    full: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Pack(Step):
    """Quantize a plain tensor, after an optional x * scale + shift, into the inside of a packed tensor."""

    source: Memory  # or NOWHERE: the image, where the caller has it
    height: int
    width: int
    channels: int
    packed: Memory  # the first pixel inside the margin
    packed_row: int  # elements from one row to the next
    packed_words: int  # elements of a pixel
    packed_plane: int  # elements from one plane to the next, or NO_PLANES
    quantizer: int
    packed_scale: Constant
    packed_shift: Constant


@dataclass(frozen=True, kw_only=True)
class PackWindows(Step):
    """Pack the bits of each window (kernel x kernel x fewer than 32 channels) densely: (height, words, width)."""

    source: Memory  # the first tap of the first window
    step_y: int  # elements from a window to the one below
    step_x: int  # to the one beside
    height: int
    width: int
    words: int
    kernel_height: int
    kernel_width: int
    tap_y: int  # elements from a tap to the one below
    tap_x: int
    channels: int
    target: Memory

    def past_the_end(self) -> dict[str, int]:
        """The last vector of a row reads that far."""
        return {"source": LANES * self.step_x}


@dataclass(frozen=True, kw_only=True)
class SumWindows(Step):
    """The sum of all bytes of each window: of each pixel by itself, and then of the pixels of a window."""

    source: Memory
    pixels: int  # or 0: their sums are there
    words: int
    masks: Constant  # the bytes of a pixel that are channels
    chunks: int  # vectors of a pixel
    sums: Memory  # of pixels
    step_y: int
    step_x: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    tap_y: int
    tap_x: int
    first: Memory  # the sum of the first tap of the first window
    target: Memory

    def past_the_end(self) -> dict[str, int]:
        """Vectors of the last 16 pixels reach past them, and those of windows past the end of a row."""
        return {"source": LANES * (self.words + 1), "sums": LANES * (self.step_x + 1)}


@dataclass(frozen=True, kw_only=True)
class Convolve(Step):
    """A convolution (or a product of matrices), and all that is folded into it.

    a = base - (sums 2^shift [+ sum of the window])  the integer accumulator, of bits or bytes; of floats, a = sums
    bits = (a >= t) ^ flip                   as a comparison of the sums with base - t, or:
    y = clamp((a scale [K] + bias) [affine_scale + affine_shift]) [+ residual]
    packed = quantizer(y [packed_scale + packed_shift])
    """

    # The sums: see `compiled.tile.accumulate`.
    kind: int  # one of `routines.OF_SUMS`
    positions: int  # of a tile
    height: int  # of the results
    width: int
    vectors: int  # of filters
    start: Memory  # where the first window begins
    step_y: int
    step_x: int
    offsets: Constant
    ends: Constant
    segments: int
    weights: Constant
    masks: Constant
    words: int  # or numbers, of a window
    sums: Memory  # of a part, for each thread
    shift: int
    # The integer accumulator: its base depends on how the window lies over the borders.
    base: Constant
    row_kinds: Constant
    column_kinds: Constant
    kinds: int  # of columns
    # The sign of all that follows, as a comparison.
    thresholds: Constant
    flips: Constant
    # Or its value.
    scale: Constant
    bias: Constant  # or NOWHERE: 0
    input_scale: Memory  # K
    affine_scale: Constant
    affine_shift: Constant
    clamp: Constant  # the lowest and the highest value
    residual: Memory
    target: Memory
    channels: int  # of the results
    filters: int  # that are computed here
    # The results, packed: see `Pack`.
    packed: Memory
    packed_row: int
    packed_words: int
    packed_plane: int
    quantizer: int
    packed_scale: Constant
    packed_shift: Constant
    # The parts that threads share.
    strip: int  # rows of windows that are computed together
    strip_vectors: int  # vectors of filters that are computed together
    window_sums: Memory  # of `SumWindows`
    # Of WINOGRAD and WINOGRAD_BYTES: the first window of a tile lies two windows from that of the next one.
    columns: int  # tiles of a row; 0 for all else
    tile_vectors: int  # vectors of filters in registers
    transformed: Memory  # the inputs of a part, for each thread
    highest: int  # the highest level, in each byte of a word
    surplus: Constant  # what four times the sums of a tile have too much, (vectors, 4, 16); of WINOGRAD_FOUR see there
    # Of ALONG_COLUMNS: see `compiled.along_columns`.
    block: int  # windows of a row that are computed together; 0 for all else
    combined: Memory  # rows of a part, for each thread
    line: int  # elements of such a row
    line_words: int  # numbers of a window in it
    line_ends: Constant
    line_weights: Constant
    factors: Constant  # the largest number that a row may have; B^T

    def in_place(self) -> tuple[str, ...]:
        """A sum may take the place of what is added."""
        return "residual", "target"

    def writes_exactly(self) -> bool:
        """Lanes that are no filters are left out. (What groups make are several steps.)"""
        return True


@dataclass(frozen=True, kw_only=True)
class CopyToFrame(Step):
    """Copy a plain tensor into the inside of a frame, quantized to whole numbers: signs, or levels 0 ... 2^bits - 1.

    The frame holds each channel `repeat` times, one behind the other.
    """

    source: Memory
    height: int
    width: int
    channels: int
    target: Memory
    target_row: int
    quantizer: int
    repeat: int


@dataclass(frozen=True, kw_only=True)
class Map(Step):
    """clamp(x [scale + shift]), or a quantizer with its values in [-1, 1]."""

    source: Memory
    target: Memory
    pixels: int
    channels: int
    scale: Constant
    shift: Constant
    clamp: Constant
    quantizer: int

    def writes_exactly(self) -> bool:
        """Whole vectors."""
        return self.channels % LANES == 0


@dataclass(frozen=True, kw_only=True)
class AddTensors(Step):
    """a + b."""

    a: Memory
    b: Memory
    target: Memory
    size: int

    def writes_exactly(self) -> bool:
        """Whole vectors."""
        return self.size % LANES == 0


@dataclass(frozen=True, kw_only=True)
class InputScale(Step):
    """K: the mean of |x| over the channels, into the inside of a frame, and its mean over each window."""

    source: Memory
    height: int
    width: int
    channels: int
    inside: Memory  # the first pixel of the frame that is no margin
    inside_row: int
    first: Memory  # the first tap of the first window
    out_height: int
    out_width: int
    step_y: int
    step_x: int
    kernel_height: int
    kernel_width: int
    tap_y: int
    tap_x: int
    target: Memory


@dataclass(frozen=True, kw_only=True)
class Pool(Step):
    """Maximum or mean over windows cut off at the edges; a global pool has one window."""

    mean: int  # 1, or 0 for the maximum
    source: Memory
    height: int
    width: int
    channels: int
    target: Memory
    out_height: int
    out_width: int
    pool_height: int
    pool_width: int
    stride_y: int
    stride_x: int
    top: int
    left: int

    def writes_exactly(self) -> bool:
        """Whole vectors."""
        return self.channels % LANES == 0


@dataclass(frozen=True, kw_only=True)
class CopyRows(Step):
    """Copy rows of `size` numbers from steps of `source_step` to steps of `target_step`, in blocks that lie likewise."""

    source: Memory
    source_step: int
    target: Memory
    target_step: int
    rows: int
    size: int
    blocks: int
    source_block: int
    target_block: int


# `Convolve` is the last: see `routines`.
STEPS = (FillMargin, Pack, PackWindows, SumWindows, CopyToFrame, Map, AddTensors, InputScale, Pool, CopyRows, Convolve)
NUMBERS = max(len(kind.dtype().names) for kind in STEPS)  # type: ignore[arg-type]


def code(kind: type[Step]) -> int:
    """The first number of the row of a step."""
    return STEPS.index(kind)
