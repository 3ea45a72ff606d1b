"""Small graphs that together hold every operation, and numbers that lie on the boundaries of their quantizers."""

import numpy as np

from tfq.graph import kernels
from tfq.graph import nodes as g

SHAPE = (7, 6, 3)
# Of both boundaries of levels and of signs; -0 is a sign too.
_TIES = np.array([0.0, -0.0, 0.5, -0.5, 1.0, 1 / 6, 0.25, 0.75, 2.0, -2.0], np.float32)


def images(count=4, shape=SHAPE, seed=0):
    """Numbers about 0, every third on a boundary."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, *shape)).astype(np.float32)
    is_tie = rng.random(values.shape) < 1 / 3
    return np.where(is_tie, rng.choice(_TIES, values.shape), values)


def packed(rng, shape, coding, bits=None, scale=None):
    """A kernel of random weights; the scales are no powers of two."""
    n = {"binary": 1, "ternary": 1}.get(coding) or 2**bits - 1
    choices = {"binary": [-1, 1], "ternary": [-1, 0, 1], "levels": range(-n, n + 1, 2)}
    values = choices.get(coding) or range(-(2 ** (bits - 1)), 2 ** (bits - 1))
    scale = rng.uniform(0.05, 0.3, shape[-1]) if scale is None else scale
    return kernels.pack(rng.choice(list(values), shape), coding, bits, scale)


def floats(rng, *shape):
    return g.FloatKernel(rng.normal(size=shape).astype(np.float32))


def shift(rng, name, source, channels):
    """Half of the shifts are 0, so that whole sums meet the boundaries of the next quantizer."""
    shifts = rng.normal(size=channels) * rng.integers(0, 2, channels)
    return g.ScaleShift(name, (source,), rng.uniform(0.5, 2, channels).astype(np.float32), shifts.astype(np.float32))


def residual(quantizer, coding, bits=None, seed=0, padding="same", pad_value=0):
    """A fork of signs or levels, shortcuts as the first and as the second summand, a stride and a margin."""
    rng = np.random.default_rng(seed)

    def conv(name, source, inner, outer, **how):
        how = {"padding": padding, "pad_value": pad_value if padding == "same" else 0, **how}
        return g.Conv2D(name, (source,), packed(rng, (3, 3, inner, outer), coding, bits), quantizer=quantizer, **how)

    nodes = (
        g.Conv2D("first", ("input",), floats(rng, 3, 3, 3, 8), padding="same"),
        shift(rng, "bn0", "first", 8),
        g.ReLU("relu", ("bn0",)),
        conv("conv1", "relu", 8, 8, padding="same", pad_value=pad_value),
        g.Add("add1", ("conv1", "relu")),
        shift(rng, "bn1", "add1", 8),
        conv("conv2", "bn1", 8, 8, padding="same", pad_value=pad_value),
        g.Add("add2", ("bn1", "conv2")),
        conv("conv3", "add2", 8, 10, strides=(2, 2)),
        shift(rng, "bn3", "conv3", 10),
        g.GlobalAveragePool("pool", ("bn3",)),
        g.Dense("head", ("pool",), floats(rng, 10, 4), rng.normal(size=4).astype(np.float32)),
    )
    return g.Graph(SHAPE, nodes)


def chain(quantizer, coding, bits=None, seed=0):
    """Convolutions without margins and a dense head, each on quantized inputs but the first; whole images are flattened."""
    rng = np.random.default_rng(seed)
    nodes = (
        g.Conv2D("first", ("input",), floats(rng, 3, 3, 3, 8), padding="valid"),
        shift(rng, "bn0", "first", 8),
        g.Conv2D("conv1", ("bn0",), packed(rng, (3, 3, 8, 8), coding, bits), quantizer=quantizer, padding="valid"),
        shift(rng, "bn1", "conv1", 8),
        g.Reshape("flat", ("bn1",), (3 * 2 * 8,)),
        g.Dense("dense", ("flat",), packed(rng, (48, 6), coding, bits), quantizer=quantizer),
        shift(rng, "bn2", "dense", 6),
        g.Dense("head", ("bn2",), floats(rng, 6, 4)),
    )
    return g.Graph(SHAPE, nodes)


def everything(seed=0):
    """Windows, joins and products of images that the others do not have."""
    rng = np.random.default_rng(seed)
    nodes = (
        g.ZeroPad("pad", ("input",), (1, 0, 0, 2)),
        g.Conv2D("wide", ("pad",), floats(rng, 3, 2, 3, 6), rng.normal(size=6).astype(np.float32), dilations=(1, 2)),
        g.MaxPool("max", ("wide",), (3, 3), (2, 2), "same"),
        g.AveragePool("mean", ("wide",), (3, 3), (2, 2), "same"),
        g.Concatenate("both", ("max", "mean")),
        g.HardTanh("tanh", ("both",)),
        g.Quantize("levels", ("tanh",), g.Levels(3)),
        g.Conv2D("depthwise", ("levels",), packed(rng, (3, 3, 1, 24), "ternary"), groups=12, padding="valid"),
        g.ReLU("relu6", ("depthwise",), 6.0),
        g.Conv2DTranspose("up", ("relu6",), packed(rng, (3, 2, 24, 5), "integer", 4), strides=(2, 3), quantizer=g.Levels(2)),
        g.Conv2D("k", ("up",), packed(rng, (3, 3, 5, 7), "binary"), quantizer=g.Sign(), kmap=True, pad_value=1),
        g.Dense("pixels", ("k",), packed(rng, (7, 4), "levels", 4), rng.normal(size=4).astype(np.float32)),
        g.GlobalMaxPool("top", ("pixels",), True),
        g.Reshape("row", ("top",), (2, 2)),
        g.Conv1D("causal", ("row",), packed(rng, (2, 2, 3), "ternary"), padding="causal", quantizer=g.Sign()),
        g.Conv1DTranspose("longer", ("causal",), packed(rng, (3, 3, 2), "binary"), strides=(4,), padding="valid"),
        g.Reshape("image", ("longer",), (4, 2, 2)),
    )
    return g.Graph(SHAPE, nodes)


SIGN = g.Sign()
METHODS = {
    "binary": (SIGN, "binary"),
    "ternary_a1": (SIGN, "ternary"),
    "ternary": (None, "ternary"),
    "a1w1": (g.Levels(1), "binary"),
    "a2w2": (g.Levels(2), "levels", 2),
    "a4w4": (g.Levels(4), "levels", 4),
    "a8w8": (g.Levels(8), "levels", 8),
    "lsq": (g.Levels(3), "integer", 3),
}
GRAPHS = {
    **{f"residual_{name}": residual(*method) for name, method in METHODS.items()},
    **{f"chain_{name}": chain(*method) for name, method in METHODS.items()},
    "padded_with_1": residual(SIGN, "binary", pad_value=1),
    "everything": everything(),
}
