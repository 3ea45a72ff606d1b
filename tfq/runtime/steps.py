"""Writes the program of a network: the rows that `kernels.run` reads, and the arrays that they point into."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.graph.check import GraphError
from tfq.runtime import fusion, kernels, packing, product, threshold
from tfq.runtime.memory import Constants, Memory
from tfq.runtime.tile import POSITIONS, VECTORS, largest_tile
from tfq.runtime.vector import LANES

_NOWHERE = -1
_ROW = 42  # numbers of the longest step
_BYTE_WORDS = 4  # words of 16 bytes, and bytes of a word
_MOST_MEMORY = 2**30  # elements of 4 bytes for one image: tensors of the largest size, a few at a time
_STRIP = 64  # windows whose sums, 8 KiB of them, are finished together


class _At(NamedTuple):
    """A position in memory, of a buffer that has no place yet."""

    buffer: object
    offset: int = 0


@dataclass(frozen=True)
class _Frame:
    """A buffer with a margin: `inside` is its first pixel that is no margin; the rest counts elements."""

    buffer: object
    shape: tuple
    margin: tuple
    pixel: int
    plane: int = 0
    planes: int = 1

    @property
    def row(self):
        _, left, _, right = self.margin
        return (left + self.shape[1] + right) * self.pixel

    @property
    def inside(self):
        return self.margin[0] * self.row + self.margin[1] * self.pixel


@dataclass(frozen=True)
class Program:
    """What `kernels.run` needs, and what its steps are.

    Attributes:
        rows: int64 (steps, 42).
        labels: (name of the operation, path) of each step.
        paths: (name, path) of each convolution and product.
        constants: int32.
        memory: elements that one image needs.
        source: where the input goes.
        target: where the output is.
        shape: of the output.
    """

    rows: np.ndarray
    labels: tuple
    paths: tuple
    constants: np.ndarray
    memory: int
    source: int
    target: int
    shape: tuple

    @property
    def work(self):
        """Operations on vectors of 16 that the convolutions and products of one image take: windows times words times vectors."""
        height, width, vectors, words = self.rows[self.rows[:, 0] == kernels.CONVOLVE][:, [3, 4, 5, 14]].T
        return int(np.sum(height * width * vectors * words))


def write(graph, threads=1):
    """The `Program` of a graph, for up to `threads` that work on one image."""
    return _Writer(graph, threads).program()


class _Writer:
    def __init__(self, graph, threads):
        self.threads = threads
        self.plan = fusion.plan(graph)
        self.constants, self.memory = Constants(), Memory()
        self.rows, self.labels, self.paths = [], [], []
        self.alias = {}
        self.output = self.plan.nodes[-1].name

    def program(self):
        self._pack_images(g.INPUT, packed=None)
        for node in self.plan.nodes:
            if node.name in self.plan.inside:
                continue
            if fusion.is_product(node):
                self._product(self.plan.fused[node.name])
            elif node.name in self.plan.needed:
                self._plain(node)
                self._pack_images(node.name, packed=None)
        return self._placed()

    def _placed(self):
        end = len(self.rows)
        # The input is there before the first step, the output after the last.
        source, target = self._tensor(g.INPUT), self._tensor(self.output)
        self.memory.use(source.buffer, self._size(g.INPUT), -1)
        self.memory.use(target.buffer, self._size(self.output), end)
        for step, row in enumerate(self.rows):
            for at in row:
                if isinstance(at, _At):
                    self.memory.use(at.buffer, 0, step)
        where, size = self.memory.place()
        if size > _MOST_MEMORY:
            raise GraphError(f"an image needs {size * 4 / 2**30:,.0f} GiB of memory; allowed are {_MOST_MEMORY * 4 // 2**30}")
        table = np.zeros((end, _ROW), np.int64)
        for step, row in enumerate(self.rows):
            table[step, : len(row)] = [where[at.buffer] + at.offset if isinstance(at, _At) else at for at in row]
        return Program(
            rows=table,
            labels=tuple(self.labels),
            paths=tuple(self.paths),
            constants=self.constants.array(),
            memory=size,
            source=where[source.buffer],
            target=where[target.buffer],
            shape=self.plan.shapes[self.output],
        )

    def _emit(self, name, path, *row):
        self.labels.append((name, path))
        self.rows.append(row)

    def _size(self, name):
        return int(np.prod(self.plan.shapes[name], dtype=np.int64))

    def _tensor(self, name, offset=0):
        """A tensor in float32; the next step reads or writes it."""
        buffer = self.alias.get(name, name)
        self.memory.use(buffer, self._size(buffer), len(self.rows))
        return _At(buffer, offset)

    def _floats(self, values, channels):
        """float32 constants, one a channel, filled up to whole vectors."""
        values = np.broadcast_to(np.asarray(values, np.float32).reshape(-1), (channels,))
        return self.constants.add(np.pad(values, (0, -channels % LANES)))

    def _affine(self, node, channels):
        if node is None:
            return _NOWHERE, _NOWHERE
        return self._floats(node.scale, channels), self._floats(node.shift, channels)

    def _node(self, name):
        return next((node for node in self.plan.nodes if node.name == name), None)

    # Frames, and images of bits or bytes

    def _image(self, image):
        height, width, channels = shapes.as_image(self.plan.shapes[image.source])
        margin = self.plan.margins[image]
        words = -(-channels // LANES) * _BYTE_WORDS if image.bytes else -(-channels // packing.WORD)
        top, left, bottom, right = margin
        plane = (top + height + bottom) * (left + width + right) * words
        planes = 1 if image.bytes else fusion.input_bits(image.quantizer)
        self.memory.use(image, plane * planes, len(self.rows))
        return _Frame(image, (height, width, channels), margin, words, plane, planes)

    def _fill_margin(self, name, frame, full, last):
        if any(frame.margin):
            for plane in range(frame.planes):
                at = _At(frame.buffer, plane * frame.plane)
                self._emit(name, "margin", kernels.FILL, at, *frame.shape[:2], *frame.margin, frame.pixel, full, last)

    def _fill_image(self, image):
        frame = self._image(image)
        if image.bytes:
            words = image.fill * (2**image.quantizer.bits - 1) * 0x01010101
            self._fill_margin(image.source, frame, words, words)
            return
        used = frame.shape[2] % packing.WORD or packing.WORD
        self._fill_margin(image.source, frame, -image.fill & 0xFFFFFFFF, -image.fill & (1 << used) - 1)

    def _image_row(self, image):
        """Where a step writes an image, and how."""
        frame = self._image(image)
        plane = kernels.BYTES if image.bytes else frame.plane
        return _At(image, frame.inside), frame.row, frame.pixel, plane, _code(image.quantizer)

    def _pack_images(self, source, packed):
        """Write the images of a tensor, but for the one that has been `packed` in passing."""
        for image in self.plan.margins:
            if image.source != source or image == packed:
                continue
            self._fill_image(image)
            height, width, channels = shapes.as_image(self.plan.shapes[source])
            affine = self._affine(self._node(image.affine), channels)
            target = self._image_row(image)
            self._emit(source, "pack", kernels.PACK, self._tensor(source), height, width, channels, *target, *affine)

    def _frame(self, node, quantizer):
        """The inputs of a convolution in float32, with a margin, or as they are where that does."""
        source = node.inputs[0]
        shape = shapes.as_image(self.plan.shapes[source])
        margin = fusion.margin(node, self.plan.shapes[source])
        if not any(margin) and quantizer is None:
            return _Frame(self._tensor(source).buffer, shape, margin, shape[2])
        frame = _Frame(("frame", node.name), shape, margin, shape[2])
        size = (margin[0] + shape[0] + margin[2]) * frame.row
        pad = getattr(node, "pad_value", 0) * (2**quantizer.bits - 1 if _levels(quantizer) else 1)
        bits = int(np.float32(pad).view(np.uint32))
        self.memory.use(frame.buffer, size, len(self.rows))
        to = _At(frame.buffer, frame.inside)
        self._emit(node.name, "frame", kernels.FRAME, self._tensor(source), *shape, to, frame.row, _code(quantizer))
        # Afterwards: the last vector of a row may reach into the margin.
        self._fill_margin(node.name, frame, bits, bits)
        return frame

    # Convolutions and products of matrices

    def _product(self, fused):
        if fused.image is not None:
            self._fill_image(fused.image)
        if fusion.on_bits(fused.node):
            path = self._on_bits(fused)
        else:
            path = self._on_bytes(fused) if fusion.on_bytes(fused.node) else self._in_float(fused)
        self.paths.append((fused.node.name, path))
        if fused.chain is None:
            self._pack_images(fused.result, packed=fused.image)

    def _geometry(self, node, frame):
        found, size, strides, dilations = fusion.windows(node, self.plan.shapes[node.inputs[0]])
        return product.Geometry(found, size, strides, dilations, frame.row, frame.pixel, frame.shape)

    def _start(self, geometry, frame):
        """First tap of the first window."""
        (vertical, horizontal) = geometry.windows
        return _At(frame.buffer, frame.inside - vertical.before * frame.row - horizontal.before * frame.pixel)

    def _on_bits(self, fused):
        node = fused.node
        frame = self._image(self.plan.images[node.name])
        geometry = self._geometry(node, frame)
        height = geometry.windows[0].out
        start, strides = self._start(geometry, frame), geometry.strides
        dense = product.window_words(node.kernel)
        path = f"{fusion.input_bits(node.quantizer)}x{fusion.kernel_planes(node.kernel)} bits, popcount"
        if dense is None:
            steps = strides[0] * frame.row, strides[1] * frame.pixel
            words = (geometry.taps[:, None] + np.arange(frame.pixel)).reshape(-1)
            sums = product.bit_sums(node, words, frame.plane)
        else:
            path += ", windows packed"
            start, line = self._pack_windows(node, frame, geometry, start, dense)
            steps = dense * line, 1
            sums = product.bit_sums(node, np.arange(dense) * line, height * dense * line)
        path += ", ternary" if sums.masks is not None else ""
        return self._on_integers(fused, path, geometry, (start, *steps), sums)

    def _on_bytes(self, fused):
        node = fused.node
        frame = self._image(self.plan.images[node.name])
        geometry = self._geometry(node, frame)
        words = np.arange(-(-frame.shape[2] // _BYTE_WORDS))
        sums = product.byte_sums(node, (geometry.taps[:, None] + words).reshape(-1))
        steps = geometry.strides[0] * frame.row, geometry.strides[1] * frame.pixel
        path = f"{node.quantizer.bits}x{fusion.kernel_planes(node.kernel)} bits, int8"
        box = self._box(node, frame, geometry) if product.needs_box(node.kernel) else _NOWHERE
        return self._on_integers(fused, path, geometry, (self._start(geometry, frame), *steps), sums, box)

    def _box(self, node, frame, geometry):
        """Emit the sums of the inputs of each window."""
        sums, target = _Frame(("pixel sums", node.name), frame.shape, frame.margin, 1), ("box", node.name)
        height, width = (window.out for window in geometry.windows)
        pixels = frame.plane // frame.pixel
        channels = -(-frame.shape[2] // LANES) * LANES
        used = (np.arange(channels + -channels % (4 * LANES)) < frame.shape[2]) * np.uint8(255)
        strides, step = geometry.strides, len(self.rows)
        # Vectors reach past the end of a row of windows, and past the last pixel.
        self.memory.use(sums.buffer, pixels + LANES * strides[1], step)
        self.memory.use(target, height * width, step)
        self.memory.use(frame.buffer, frame.plane + LANES, step)
        self._emit(
            *(node.name, "box", kernels.BOX, _At(frame.buffer), pixels, frame.pixel, self.constants.add(used.view("<i4"))),
            *(used.size // (4 * LANES), _At(sums.buffer), strides[0] * sums.row, strides[1], height, width, *geometry.size),
            *(geometry.dilations[0] * sums.row, geometry.dilations[1], self._start(geometry, sums), _At(target)),
        )
        return _At(target)

    def _on_integers(self, fused, path, geometry, where, sums, box=_NOWHERE):
        node = fused.node
        path += ", threshold" if fused.chain is not None else ""
        total = product.accumulator(node, geometry, self.plan.images[node.name].fill)
        table = [self.constants.add(values) for values in (total.base, total.rows, total.columns)]
        accumulator = (*table, total.base.shape[1])
        kmap, scale = self._kmap(node), product.kernel_scale(node)
        self._convolve(fused, path, geometry, where, sums, accumulator, scale, kmap, total.bound, box=box)
        return path

    def _pack_windows(self, node, frame, geometry, start, words):
        """Emit it; gives where the words are, (planes, height, words, width), and the width filled up to whole vectors."""
        height, width = (window.out for window in geometry.windows)
        line = width + -width % LANES
        step = geometry.strides[1] * frame.pixel
        target, size = ("windows", node.name), height * words * line
        self.memory.use(target, size * frame.planes, len(self.rows))
        # The last vector of a row reads that far past the end.
        self.memory.use(frame.buffer, frame.plane * frame.planes + LANES * step, len(self.rows))
        for plane in range(frame.planes):
            self._emit(
                *(node.name, "pack windows", kernels.WINDOWS, _At(start.buffer, start.offset + plane * frame.plane)),
                *(geometry.strides[0] * frame.row, step, height, line, words, *geometry.size),
                *(geometry.dilations[0] * frame.row, geometry.dilations[1] * frame.pixel, frame.shape[2]),
                _At(target, plane * size),
            )
        return _At(target), line

    def _in_float(self, fused):
        node = fused.node
        quantizer = node.quantizer
        frame = self._frame(node, quantizer)
        geometry = self._geometry(node, frame)
        values, scale = packing.real(node.kernel)
        if _levels(quantizer):
            scale = scale / np.float32(2**quantizer.bits - 1)
        groups = getattr(node, "groups", 1)
        start, kmap = self._start(geometry, frame), self._kmap(node)
        steps = geometry.strides[0] * frame.row, geometry.strides[1] * frame.pixel
        filters = values.shape[2] // groups
        scale = np.broadcast_to(scale, values.shape[2:])
        for group in range(groups):
            part = slice(group * filters, (group + 1) * filters)
            sums = product.float_sums(values[:, :, part], geometry, group * values.shape[1])
            nothing = (_NOWHERE, _NOWHERE, _NOWHERE, 0)
            self._convolve(fused, "float32", geometry, (start, *steps), sums, nothing, scale[part], kmap, None, part)
        return "float32"

    def _convolve(self, fused, path, geometry, where, sums, accumulator, scale, kmap, bound, part=None, box=_NOWHERE):
        node, constants = fused.node, self.constants
        channels = node.kernel.shape[-1]
        part = part or slice(0, channels)
        height, width = (window.out for window in geometry.windows)
        vectors, words, _ = sums.weights.shape
        weights = constants.add(sums.weights)
        masks = weights if sums.masks is None else constants.add(sums.masks)
        most_positions, most_vectors = largest_tile()
        # Rows are taken together until there are enough windows to make up for the calls.
        strip = min(height, max(1, _STRIP // width))
        self.memory.use("sums", self.threads * strip * width * max(VECTORS) * LANES, len(self.rows))
        row = [
            *(kernels.CONVOLVE, sums.kind, next(p for p in POSITIONS if p <= min(width, most_positions)), height, width, vectors),
            *(*where, constants.add(sums.offsets), constants.add(sums.ends), len(sums.ends) - 1),
            *(weights, masks, words, _At("sums"), *accumulator),
            *self._results(fused, scale, kmap, bound, part, channels),
            *self._bits_of(fused, channels),
            *(strip, most_vectors, box),
        ]
        self._emit(node.name, path, *row)

    def _results(self, fused, scale, kmap, bound, part, channels):
        node = fused.node
        filters = part.stop - part.start
        bias = np.zeros(channels, np.float32) if node.bias is None else np.asarray(node.bias, np.float32)
        if fused.chain is not None:
            limits, flips = threshold.fold(np.broadcast_to(scale, (channels,)), bias, fused.chain, bound)
            flips = np.packbits(np.pad(flips, (0, -channels % LANES)), bitorder="little").view("<u2").astype(np.int32)
            limits = self.constants.add(np.pad(limits, (0, -channels % LANES)))
            return limits, self.constants.add(flips), *[_NOWHERE] * 8, channels, filters
        affine = _NOWHERE, _NOWHERE
        if fused.affine is not None:
            affine = [
                self._floats(np.broadcast_to(values, (channels,))[part], filters)
                for values in (fused.affine.scale, fused.affine.shift)
            ]
        clamp = _NOWHERE if fused.clamp is None else self._floats(fused.clamp, 2)
        residual = _NOWHERE if fused.residual is None else self._tensor(fused.residual, part.start)
        target = self._tensor(fused.result, part.start) if fused.result in self.plan.needed else _NOWHERE
        return (
            *(_NOWHERE, _NOWHERE, self._floats(scale, filters), self._floats(bias[part], filters), kmap),
            *(*affine, clamp, residual, target, channels, filters),
        )

    def _bits_of(self, fused, channels):
        if fused.image is None:
            return [_NOWHERE] * 7
        return *self._image_row(fused.image), *self._affine(self._node(fused.image.affine), channels)

    def _kmap(self, node):
        if not getattr(node, "kmap", False):
            return _NOWHERE
        source = node.inputs[0]
        height, width, channels = self.plan.shapes[source]
        margin = fusion.margin(node, (height, width, channels))
        frame = _Frame(("magnitudes", node.name), (height, width, 1), margin, 1)
        self.memory.use(frame.buffer, (margin[0] + height + margin[2]) * frame.row, len(self.rows))
        bits = int(np.float32(abs(node.pad_value)).view(np.uint32))
        self._fill_margin(node.name, frame, bits, bits)
        geometry = self._geometry(node, frame)
        out = [window.out for window in geometry.windows]
        self.memory.use(("kmap", node.name), out[0] * out[1], len(self.rows))
        self._emit(
            *(node.name, "K", kernels.KMAP, self._tensor(source), height, width, channels),
            *(_At(frame.buffer, frame.inside), frame.row, self._start(geometry, frame), *out),
            *(geometry.strides[0] * frame.row, geometry.strides[1], *geometry.size),
            *(geometry.dilations[0] * frame.row, geometry.dilations[1], _At(("kmap", node.name))),
        )
        return _At(("kmap", node.name))

    # All other operations

    def _plain(self, node):
        path = type(node).__name__
        source, shape = node.inputs[0], self.plan.shapes[node.inputs[0]]
        height, width, channels = shapes.as_image(shape)
        match node:
            case g.Reshape():
                self.alias[node.name] = self._tensor(source).buffer
            case g.ScaleShift():
                self._map(node, source, channels, affine=node)
            case g.ReLU() | g.HardTanh():
                before = self.plan.activated.get(node.name)
                self._map(node, before.inputs[0] if before else source, channels, before, fusion.limits(node))
            case g.Quantize():
                self._map(node, source, channels, quantizer=node.quantizer)
            case g.Add():
                for a, b in _pairs(node):
                    to = self._tensor(node.name)
                    self._emit(node.name, path, kernels.ADD, self._tensor(a), self._tensor(b), to, self._size(node.name))
            case g.Concatenate():
                self._concatenate(node)
            case g.ZeroPad():
                self._zero_pad(node, shape)
            case g.MaxPool() | g.AveragePool():
                axes = zip(shape[:2], node.pool_size, node.strides, strict=True)
                vertical, horizontal = (shapes.window(*axis, padding=node.padding) for axis in axes)
                first = vertical.before, horizontal.before
                self._pool(node, (vertical.out, horizontal.out), node.pool_size, node.strides, first)
            case g.GlobalMaxPool() | g.GlobalAveragePool():
                self._pool(node, (1, 1), (height, width), (1, 1), (0, 0))
            case _:
                raise TypeError(f"{node.name}: {path} is an operation that no step computes")

    def _map(self, node, source, channels, affine=None, clamp=None, quantizer=None):
        size = self._size(source)
        # Where channels are all alike, they need not be told apart.
        pixels = size // channels if affine else 1
        clamp = _NOWHERE if clamp is None else self._floats(clamp, 2)
        what = (*self._affine(affine, channels), clamp, _code(quantizer))
        row = (kernels.MAP, self._tensor(source), self._tensor(node.name), pixels, size // pixels, *what)
        self._emit(node.name, type(node).__name__, *row)

    def _concatenate(self, node):
        channels, first = self.plan.shapes[node.name][-1], 0
        for source in node.inputs:
            size = self.plan.shapes[source][-1]
            to = self._tensor(node.name, first)
            row = (kernels.COPY, self._tensor(source), size, to, channels, self._size(source) // size, size)
            self._emit(node.name, "Concatenate", *row)
            first += size

    def _zero_pad(self, node, shape):
        top, bottom, left, right = node.widths
        to = self._tensor(node.name)
        frame = _Frame(to.buffer, shape, (top, left, bottom, right), shape[2])
        inside = _At(to.buffer, frame.inside)
        self._emit(node.name, "ZeroPad", kernels.FRAME, self._tensor(node.inputs[0]), *shape, inside, frame.row, kernels.NONE)
        self._tensor(node.name)
        self._fill_margin(node.name, frame, 0, 0)

    def _pool(self, node, out, size, strides, first):
        code = kernels.MEAN_POOL if isinstance(node, g.AveragePool | g.GlobalAveragePool) else kernels.MAX_POOL
        source = node.inputs[0]
        row = (code, self._tensor(source), *self.plan.shapes[source], self._tensor(node.name), *out, *size, *strides, *first)
        self._emit(node.name, type(node).__name__, *row)


def _levels(quantizer):
    return isinstance(quantizer, g.Levels)


def _code(quantizer):
    """A quantizer, or None, as the compiled steps know it."""
    if quantizer is None:
        return kernels.NONE
    return quantizer.bits if _levels(quantizer) else kernels.SIGN


def _pairs(node):
    """The additions of two tensors that make the sum of many."""
    first, second, *rest = node.inputs
    return [(first, second), *((node.name, other) for other in rest)]
