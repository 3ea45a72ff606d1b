"""Optimizers and learning-rate schedules, all of them Keras' own."""

import math
from collections.abc import Sequence

from tfq.backend.keras import keras, ops, weight_name
from tfq.choices import OPTIMIZERS, SCHEDULES
from tfq.layers.kernels import kernels_in


def learning_rate(
    schedule: str, lr: float, epochs: int, steps_per_epoch: int, milestones: Sequence[int] = ()
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """What an optimizer of Keras takes as its learning rate.

        constant: lr
        step:     lr / 10^j after the j-th milestone
        cosine:   lr (1 + cos(pi t / T)) / 2 at step t of T
        onecycle: from lr / 25 linearly to lr over the first 30 % of the steps, then by a cosine to 0 (Smith and Topin 2017,
                  arXiv:1708.07120; the shape is that of Keras' CosineDecay with warm-up)

    Args:
        schedule: one of `tfq.choices.SCHEDULES`.
        lr: the highest rate.
        epochs: length of the run.
        steps_per_epoch: batches in an epoch.
        milestones: epochs after which "step" divides the rate by ten.
    """
    steps = epochs * steps_per_epoch
    schedules = keras.optimizers.schedules
    if schedule == "constant" or (schedule == "step" and not milestones):
        return lr
    if schedule == "step":
        boundaries = [epoch * steps_per_epoch for epoch in milestones]
        return schedules.PiecewiseConstantDecay(boundaries, [lr / 10**j for j in range(len(milestones) + 1)])
    if schedule == "cosine":
        return schedules.CosineDecay(lr, steps)
    if schedule == "onecycle":
        warmup = max(1, round(0.3 * steps))
        return schedules.CosineDecay(lr / 25, max(1, steps - warmup), warmup_target=lr, warmup_steps=warmup)
    raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {schedule!r}")


def scaled(lr: float, optimizer: str, batch_size: int, of_batch: int | None) -> float:
    """The rate for another batch size than the one that it was found with.

        sgd:  lr B / B0 (the linear rule: Goyal et al. 2017, arXiv:1706.02677, section 2.1)
        adam: lr sqrt(B / B0) (the square-root rule: Malladi et al. 2022, arXiv:2205.10287, section 1)

    Args:
        lr: the rate that was found.
        optimizer: one of `tfq.choices.OPTIMIZERS`.
        batch_size: B, the images of a step on all devices together.
        of_batch: B0; None leaves the rate as it is.
    """
    if of_batch is None:
        return lr
    factor = batch_size / of_batch
    return lr * (factor if optimizer == "sgd" else math.sqrt(factor))


def build(
    name: str, rate: float | keras.optimizers.schedules.LearningRateSchedule, weight_decay: float, model: keras.Model
) -> keras.optimizers.Optimizer:
    """An optimizer for `model`.

    Weight decay is Keras' decoupled one, W <- W - rate * weight_decay * W. It spares biases, batch normalization, and binary
    kernels: of these only the sign counts, so that a decay merely makes them flip more easily.

    Args:
        name: `"sgd"` (momentum 0.9) or `"adam"`.
        rate: learning rate or schedule.
        weight_decay: 0 for none.
        model: the model whose weights it will train, built; those of models and layers in it count as its own do.

    Raises:
        ValueError: the name is unknown, or the model has no weights yet that could be told apart.
    """
    decay = weight_decay or None
    if name == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay)
    elif name == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    else:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {name!r}")
    if decay:
        if not model.built:
            raise ValueError("weight decay spares some weights: build the model first, by an Input or a call on a batch")
        optimizer.exclude_from_weight_decay(var_list=_spared(model))
    return optimizer


def current_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the next step."""
    rate = optimizer.learning_rate
    if callable(rate):
        rate = rate(optimizer.iterations)
    return float(ops.convert_to_numpy(rate))


def _spared(model):
    kernels = kernels_in(model).values()
    binary = {id(kernel.latent) for kernel in kernels if kernel.is_built and getattr(kernel.quantizer, "bits", None) == 1}
    # By name: tfmot's wrapper puts the quantized tensor in the place of the attribute `kernel`.
    return [v for v in model.trainable_variables if id(v) in binary or not weight_name(v).endswith("kernel")]
