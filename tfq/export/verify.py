"""Whether an exported artifact computes what the Keras model computes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tfq import walk
from tfq.backend.keras import keras, ops
from tfq.convert import layers
from tfq.convert.boundary import NEAR, relative_distance
from tfq.convert.kernels import array
from tfq.export.errors import ExportError
from tfq.export.format import Lossy
from tfq.quantizers.base import Quantizer

# Largest difference of two logits, over the largest logit, that the order of float32 sums explains: measured 3e-5 at most.
TOLERANCE = 1e-4
# Relative size of the rounding that a correct artifact may do differently, and how much worse than it one may come out.
ROUNDING = 3e-6
SLACK = 4

# An export refuses to judge by fewer.
FEWEST_IMAGES = 16
_BATCH_SIZE = 128


class ExportMismatch(RuntimeError):
    """An exported artifact does not compute what the model computes."""


@dataclass(frozen=True)
class Agreement:
    """How two sets of logits agree.

    The difference of an image is the largest one among its logits, relative to the largest absolute logit of all images;
    here are its median and its maximum, the number of images beyond `TOLERANCE`, and the share with the same top-1 class; see
    `top1`. Of the images beyond, `unexplained` have no value within `NEAR` of a boundary of its quantizer; None where that was
    not asked.
    """

    images: int
    median_difference: float
    max_relative_difference: float
    beyond: int
    top1_agreement: float
    unexplained: int | None = None

    @property
    def within_tolerance(self) -> float:
        """Share of the images that differ by no more than `TOLERANCE`."""
        return 1 - self.beyond / self.images

    def __str__(self):
        text = (
            f"{self.images} images, same top-1 on {self.top1_agreement:.1%}, relative difference of the logits "
            f"{self.median_difference:.1e} in the median, {self.max_relative_difference:.1e} at most"
        )
        if self.unexplained is None:
            return text
        return (
            f"{text}; {self.beyond} beyond {TOLERANCE:g}, {self.beyond - self.unexplained} of them with a value within {NEAR:g} "
            "deviations of a boundary"
        )


def check_images(model: keras.Model, images: np.ndarray) -> None:
    """Raise ExportError unless `images` are float32, finite, fit the one input of `model`, and are enough to judge by."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ExportError(
            f"export takes a model of one input and one output; got {len(model.inputs)} inputs, {len(model.outputs)} outputs"
        )
    expected, dtype = tuple(model.inputs[0].shape)[1:], getattr(model.inputs[0].dtype, "name", model.inputs[0].dtype)
    if dtype != "float32":
        raise ExportError(f"export takes a model whose input is float32, and prepares uint8 pixels itself; got a {dtype} input")
    shape, dtype = np.shape(images), getattr(images, "dtype", type(images).__name__)
    fits = len(shape) == len(expected) + 1 and all(e in (None, n) for n, e in zip(shape[1:], expected, strict=True))
    if not fits or dtype != np.float32 or shape[0] < FEWEST_IMAGES:
        raise ExportError(
            f"export compares on {FEWEST_IMAGES} or more float32 images of shape {expected}; got shape {shape}, dtype {dtype}"
        )
    if not np.isfinite(images).all():
        raise ExportError("the images to compare on hold values that are not finite")


def compare(
    name: str,
    model: keras.Model,
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    lossy: Lossy | None = None,
    expected: np.ndarray | None = None,
) -> Agreement:
    """Compare the logits of an artifact with those of the model.

    Every image must agree within `TOLERANCE`, but for one in which a value lies so near to a boundary of its quantizer (`NEAR`)
    that rounding alone may take it to the other side: its logits then differ by a step, not by a rounding error. With 4 and 8
    bit activations that happens in every other image, and most images have such a value whether or not it moves. So the model
    itself says what a rounding does to it: where more than 0.5 % of the images (more than one) deviate, median and top-1 changes
    are compared with those of the model under a rounding noise in its images, its weights and what its quantizers take. A wrong
    artifact deviates in most images, and much more.

    Args:
        name: name of the format, for the error.
        model: Keras model.
        predict: the function from a batch of images to logits that the artifact computes.
        images: float32 batch.
        lossy: for a format that rounds more than float32 does: the smallest share of images with the same top-1 class (less two
            standard errors of it) and the largest median difference that it may have; None for other formats.
        expected: the model's logits of the images, where they are known.

    Returns:
        `Agreement`.

    Raises:
        ExportMismatch: the artifact deviates more than rounding explains.
    """
    expected, logits = keras_logits(model, images) if expected is None else expected, _logits(predict, images)
    agreement = agree(logits, expected)
    if lossy is not None:
        _check_lossy(name, agreement, *lossy)
        return agreement
    if agreement.beyond:
        beyond = ~(_differences(logits, expected) <= TOLERANCE)
        agreement = replace(agreement, unexplained=int(np.sum(beyond & (_nearest(model, images) > NEAR))))
        _check_explained(name, agreement)
    if not _is_close(agreement):
        _check_against_rounding(name, agreement, agree(_noisy_logits(model, images), expected))
    return agreement


def compare_runtimes(
    name: str,
    model: keras.Model,
    other: Callable[[np.ndarray], np.ndarray],
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    lossy: Lossy | None = None,
    expected: np.ndarray | None = None,
) -> str:
    """Compare what a further runtime computes of an artifact with what the first one does; returns a sentence of it.

    The outputs must be equal. Two releases may add float32 products in another order (ai-edge-litert 1.4 and TensorFlow 2.21
    differ by 3e-7): then those of the further one must pass `compare` too. Integers have no such order, so the outputs of a
    format that rounds must be equal whatever the release.

    Args:
        name: name of the format and of the further runtime, for the error and the sentence.
        model: Keras model.
        other: the function from images to logits that the further runtime computes.
        predict: that of the first one, which `compare` has passed.
        images: float32 batch.
        lossy: as of `compare`.
        expected: likewise.

    Raises:
        ExportMismatch: the outputs are others.
    """
    found, first = _logits(other, images), _logits(predict, images)
    if np.array_equal(found, first):
        return f"{name}: equal outputs"
    agreement = agree(found, first)
    if lossy is not None:
        raise ExportMismatch(f"the exported {name} does not compute what it computes in the first runtime: {agreement}")
    compare(name, model, other, images, expected=expected)
    return f"{name}: relative difference of the outputs {agreement.max_relative_difference:.1e} at most"


def agree(logits: np.ndarray, expected: np.ndarray) -> Agreement:
    """`Agreement` of two arrays of logits, (N, classes); of other shapes all values of an image are compared."""
    if logits.shape != expected.shape:
        raise ExportMismatch(f"the artifact gives logits of shape {logits.shape}, the model of shape {expected.shape}")
    logits, expected = logits.reshape(len(logits), -1), expected.reshape(len(expected), -1)
    difference = _differences(logits, expected)
    return Agreement(
        images=len(expected),
        median_difference=float(np.median(difference)),
        max_relative_difference=float(difference.max()),
        beyond=int(np.sum(~(difference <= TOLERANCE))),
        top1_agreement=float(np.mean(top1(logits, expected) == expected.argmax(axis=1))),
    )


def top1(logits: np.ndarray, expected: np.ndarray, largest: float | np.ndarray | None = None) -> np.ndarray:
    """The class that logits give each image, (N,).

    Two classes that `expected` has within `TOLERANCE` of each other are one: where the order of sums decides between them, the
    class is that of `expected`. With one scale for a whole head, as of DoReFa or ternary kernels, logits tie exactly.

    Args:
        logits: (N, classes).
        expected: those of the model, likewise.
        largest: what `TOLERANCE` is relative to, a number or (N,); by default the largest absolute logit of all images.
    """
    largest = np.abs(expected).max() if largest is None else largest
    own, images = logits.argmax(axis=1), np.arange(len(logits))
    is_tie = expected.max(axis=1) - expected[images, own] <= TOLERANCE * largest
    return np.where(is_tie, expected.argmax(axis=1), own)


def _differences(logits, expected):
    """Of each image the largest difference of a logit, over the largest of all logits."""
    difference = np.abs(logits - expected).reshape(len(expected), -1).max(axis=1) / max(
        np.abs(expected).max(), np.finfo(np.float32).tiny
    )
    return np.where(np.isnan(difference), np.inf, difference)


def _few(images):
    """Share of the images that may deviate: 0.5 %, and never less than one image, which a single step can change."""
    # One of 48 is not 1 - 47 / 48 to the last bit.
    return max(0.005, 1 / images) + 1e-9


def _is_close(agreement):
    return min(agreement.within_tolerance, agreement.top1_agreement) >= 1 - _few(agreement.images)


def _check_explained(name, agreement):
    if agreement.unexplained:
        raise ExportMismatch(
            f"the exported {name} does not compute what the model computes: {agreement}; without such a value an image must agree"
        )


def _check_against_rounding(name, agreement, own):
    most = max(TOLERANCE, SLACK * own.median_difference)
    most_changes = max(_few(own.images), SLACK * (1 - own.top1_agreement))
    # Not `>`: the median of NaN logits is infinite.
    if not (agreement.median_difference <= most and 1 - agreement.top1_agreement <= most_changes):
        raise ExportMismatch(
            f"the exported {name} does not compute what the model computes: {agreement}; "
            f"rounding explains {most:.1e} in the median and the same top-1 on {max(0, 1 - most_changes):.1%}"
        )


def _check_lossy(name, agreement, least_top1, most_difference):
    least_top1 -= 2 * (least_top1 * (1 - least_top1) / agreement.images) ** 0.5
    if not (agreement.median_difference <= most_difference and agreement.top1_agreement >= least_top1):
        raise ExportMismatch(
            f"the exported {name} loses too much of what the model computes: {agreement}; "
            f"allowed are {most_difference:.1e} in the median and the same top-1 on {least_top1:.1%} or more"
        )


def _noisy_logits(model, images):
    """Logits of the model with rounding noise in the images, the weights, and what the quantizers take."""
    generator = np.random.default_rng(0)

    def noisy(values):
        if not np.issubdtype(values.dtype, np.floating):
            return values
        return (values * (1 + ROUNDING * generator.uniform(-1, 1, values.shape))).astype(values.dtype)

    weights = model.get_weights()
    try:
        model.set_weights([noisy(values) for values in weights])
        with _other_quantizers(model, lambda quantizer: _Noisy(quantizer, generator)):
            batches = (noisy(images[part]) for part in _parts(images))
            # Layer by layer: what Keras has compiled for `predict` does not see other quantizers.
            return np.concatenate([array(model(batch, training=False)) for batch in batches])
    finally:
        model.set_weights(weights)


def _nearest(model, images):
    """Of each image how near a value lies to a boundary of the quantizer that takes it, over the deviation of the channel."""
    found = []
    for part in _parts(images):
        distances = np.full(len(images[part]), np.inf)
        with _other_quantizers(model, lambda quantizer, distances=distances: _Watching(quantizer, distances)):
            model(images[part], training=False)
        found.append(distances)
    return np.concatenate(found)


def _parts(images):
    return [slice(start, start + _BATCH_SIZE) for start in range(0, len(images), _BATCH_SIZE)]


def _other_quantizers(model, of):
    """As long as the context lasts, `of(quantizer)` stands in the place of each quantizer of inputs."""
    return walk.standing_in(
        [
            (layer, name, of(getattr(layer, name)))
            for _, layer in walk.layers(model)
            for name in ("input_quantizer", "activation")
            if isinstance(getattr(layer, name, None), Quantizer)
        ]
    )


class _Noisy:
    """A quantizer whose inputs are rounded differently first, in proportion to their root mean square."""

    def __init__(self, quantizer, generator):
        self._quantizer, self._generator = quantizer, generator

    def __call__(self, x, **state):
        values = array(x)
        noise = ROUNDING * np.sqrt(np.mean(values**2)) * self._generator.uniform(-1, 1, values.shape)
        return self._quantizer(ops.convert_to_tensor((values + noise).astype(np.float32)), **state)


class _Watching:
    """A quantizer that notes of each image how near to a boundary its inputs come."""

    def __init__(self, quantizer, distances):
        self._quantizer, self._distances = quantizer, distances

    def __call__(self, x, **state):
        np.minimum(self._distances, self._nearest(array(x), state), out=self._distances)
        return self._quantizer(x, **state)

    def _nearest(self, values, state):
        try:
            rule = layers.input_rule(self._quantizer, **state)
        except TypeError:  # nobody knows where the boundaries of another quantizer are
            return 0.0
        if rule.quantizer is None:
            return np.inf
        values = rule.brought(values)
        deviation = values.std(axis=tuple(range(values.ndim - 1)), dtype=np.float64)
        return relative_distance(values, rule.quantizer, deviation).reshape(len(values), -1).min(axis=1)


def keras_logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The logits of a model, float32 (N, classes)."""
    return np.asarray(model.predict(images, batch_size=_BATCH_SIZE, verbose=0), dtype=np.float32)


def _logits(predict, images):
    # One image alone first: the artifact must take any batch size.
    starts = [0, *range(1, len(images), _BATCH_SIZE)]
    return np.concatenate([predict(images[start:end]) for start, end in zip(starts, [*starts[1:], len(images)], strict=True)])
