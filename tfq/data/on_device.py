"""Training on JAX with the images on the device: of each step the host sends places, offsets and coins alone."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tfq.backend.devices import accelerators
from tfq.backend.keras import PyDataset, backend, keras
from tfq.data.augment import PAD
from tfq.data.batches import Batches, Steps
from tfq.data.feed import feed
from tfq.optional import require

# Images of more bytes stay with the host: a device has to hold network and activations beside them.
MOST_BYTES = 2**32


class Fed(NamedTuple):
    """What `fit` takes as `x` and as `validation_data`, and what its steps are in training and test: objects with `seen`."""

    images: Any
    val_images: Any
    steps: tuple[Steps, Steps]


@contextlib.contextmanager
def feeding(model: keras.Model, batches: Batches, val_batches: Batches) -> Iterator[Fed]:
    """What to give `fit` for these batches; inside, a model on JAX makes them on its device.

    The images lie there as uint8. Crop, flip and normalization are part of the compiled step. On an accelerator as many steps are
    one call as `steps_per_execution` of the compiled model says. Each step sees the numbers of `batches[index]`, bit for bit. On
    other backends, in eager mode, with images on disk, and where there are more than `MOST_BYTES` of them, it is `feed(batches)`.

    Args:
        model: a compiled Keras model.
        batches: `Batches` to train on.
        val_batches: `Batches` to validate on.

    Yields:
        `Fed`.
    """
    is_stored = not all(isinstance(each.x, np.ndarray) for each in (batches, val_batches))
    if backend != "jax" or is_stored or batches.x.nbytes + val_batches.x.nbytes > MOST_BYTES or model.run_eagerly:
        yield Fed(feed(batches), feed(val_batches), (batches, val_batches))
        return
    _build_metrics(model, batches)
    model.train_function = _Function(model, model.train_step, batches)
    model.test_function = _Function(model, model.test_step, val_batches)
    steps, model.steps_per_execution = model.steps_per_execution, 1  # what Keras takes for a step is a call of them all
    # On a processor XLA computes convolutions inside of a loop many times slower (JAX 0.10).
    most = (steps, len(val_batches)) if accelerators() else (1, 1)
    try:
        calls = (Executions(batches, most[0]), Executions(val_batches, most[1]))
        yield Fed(calls[0], calls[1], calls)
    finally:
        model.steps_per_execution = steps
        model.train_function = model.test_function = None  # Keras makes its own when it needs them again


class Executions(PyDataset):
    """What `Batches` are made of, several to one call: int32 (steps, 4, batch_size).

    The rows of a step are the places of its images, rows and columns of their crops, and 1 for those that are mirrored. Steps of
    place -1 fill the last call up to the same shape, as each shape is compiled anew. A last batch of fewer images is a call of
    its own.

    Args:
        batches: the `Batches`.
        steps: how many to a call; fewer where an epoch has no more.
    """

    def __init__(self, batches: Batches, steps: int) -> None:
        super().__init__()
        self.batches = batches
        self._full, self._rest = divmod(batches.num_images, batches.batch_size)
        self._steps = max(1, min(steps, self._full))

    def __len__(self) -> int:
        return -(-self._full // self._steps) + bool(self._rest)

    @property
    def num_images(self) -> int:
        """Images in an epoch."""
        return self.batches.num_images

    def seen(self, index: int) -> int:
        """Images in the calls up to this one."""
        last = min((index + 1) * self._steps, self._full) - 1 if index * self._steps < self._full else self._full
        return self.batches.seen(last)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        first = index * self._steps
        if first >= self._full:
            return (_rows(self.batches, self._full)[None],)
        made = [_rows(self.batches, step) for step in range(first, min(first + self._steps, self._full))]
        filled = np.full((self._steps, *made[0].shape), -1, np.int32)
        filled[: len(made)] = made
        return (filled,)


class _Function:
    """`train_function` or `test_function` of a model: takes the next of `Executions` and gives logs and the new state.

    Args:
        model: the model.
        step: its `train_step` or `test_step`, from the state and a batch to logs and the new state.
        batches: the `Batches` whose images it holds.
    """

    def __init__(self, model, step, batches):
        self._arrays = _put(batches)
        self._run = require("jax").jit(_steps(model, step), donate_argnums=0)

    def __call__(self, state, iterator):
        (plan,) = next(iterator)
        return self._run(state, *self._arrays, plan)


def _put(batches):
    """Images, labels and what each value of a pixel becomes, as arrays of the device."""
    return require("jax").device_put((batches.x, batches.y, batches.normalized_values()))


def _rows(batches, index):
    places, drawn = batches.plan(index)
    return np.stack([places, *drawn]).astype(np.int32)


def _steps(model, step):
    """The function of several steps that is compiled."""
    jax = require("jax")

    def run(state, x, y, values, plan):
        def one(index, before):
            _, after = step(before, _images_and_labels(x, y, values, plan[index]))
            return jax.tree.map(lambda new, old: jax.numpy.asarray(new, old.dtype), after, before)

        count = (plan[:, 0, 0] >= 0).sum()
        state = one(0, state) if len(plan) == 1 else jax.lax.fori_loop(0, count, one, state)
        with keras.StatelessScope(state_mapping=list(zip(model.metrics_variables, state[-1], strict=True))):
            return model.get_metrics_result(), state

    return run


def _images_and_labels(x, y, values, plan):
    """The batch of one step: crop, mirror and normalize as `tfq.data.augment` and `Batches` do.

    Values are looked up and not computed: a compiler may round the product and the sum of the normalization as one.
    """
    jnp = require("jax.numpy")
    places, top, left, mirrored = plan
    height, width, channels = x.shape[1:]
    rows = jnp.arange(height) + top[:, None] - PAD
    columns = jnp.where(mirrored[:, None] == 1, jnp.arange(width)[::-1], jnp.arange(width)) + left[:, None] - PAD
    rows, columns = rows[:, :, None], columns[:, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    pixels = x[places[:, None, None], rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return values[jnp.where(inside[..., None], pixels, 0), jnp.arange(channels)], y[places]


def _build_metrics(model, batches):
    """Let loss and metrics make their variables, which Keras makes of the first batch: here that is none."""
    labels = batches.y[:1]
    logits = np.zeros((1, *model.output_shape[1:]), np.float32)
    model.compute_loss(None, labels, logits)
    model.compute_metrics(None, labels, logits)
    model.reset_metrics()
