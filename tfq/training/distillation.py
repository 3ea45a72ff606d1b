"""Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531): a network learns from the scores of another one, too."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tfq.backend.gradients import untracked
from tfq.backend.keras import Tensor, keras, ops

_REPLACED = ("train_step", "compute_loss")


class SoftTargets(keras.losses.Loss):
    """How far the scores of a network are from those of its teacher, both softened.

        p = softmax(v / T),   q = softmax(z / T)
        loss = T^2 sum_c p_c (log p_c - log q_c),   dloss/dz_c = T (q_c - p_c),   no gradient for v

    Hinton et al. 2015, section 2 and equation 2: T^2 keeps the size of the gradient where T is large. Their cross-entropy with
    the soft targets p has the same gradient; this divergence is 0 where both networks agree.

    Args:
        temperature: T, above 0 and finite.

    Raises:
        ValueError: another temperature.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__(name="soft_targets")
        if not 0 < temperature < float("inf"):
            raise ValueError(f"temperature must be above 0 and finite; got {temperature}")
        self.temperature = temperature

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each image, (N,), of logits (N, classes): those of the teacher, and those of the network."""
        target = ops.log_softmax(ops.stop_gradient(y_true) / self.temperature)
        found = ops.log_softmax(y_pred / self.temperature)
        return self.temperature**2 * ops.sum(ops.exp(target) * (target - found), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"temperature": self.temperature}


@contextmanager
def distilling(student: keras.Model, teacher: keras.Model, temperature: float = 4.0, weight: float = 0.9) -> Iterator[None]:
    """Inside, each training step of `student` minimizes its own loss L and its distance from `teacher` on the same batch.

        loss = (1 - w) L + w T^2 KL(softmax(v / T) || softmax(z / T))
        dloss/dz = (1 - w) dL/dz + w T (softmax(z / T) - softmax(v / T)),   of each image; v and z are the logits of the two

    Hinton et al. 2015, arXiv:1503.02531, section 2. L is what `student` is compiled with, its regularizers among it. Validation
    and metrics are as without a teacher, but for the `loss` of training, which on tf_keras is L alone. The student stays the
    object that it was: checkpoints, exports and callbacks see no teacher. `keras.distillation.Distiller` (Keras 3.12 and later)
    is a model around both instead, and saves both.

    The teacher sees the images as the student does, augmented. It is called as in a test: nothing of it changes. Inside another
    `distilling` of the same student L is the loss with the outer teacher.

    Args:
        student: a compiled model that gives logits, (N, classes).
        teacher: a built model that takes the same images and gives logits of the same classes.
        temperature: T, above 0 and finite.
        weight: w, above 0 and at most 1.

    Raises:
        ValueError: another temperature or weight, or a teacher that is the student, is not built, or gives another shape; the
            last comes with the first step where the shapes are not known before.
    """
    if not 0 < weight <= 1:
        raise ValueError(f"weight must be above 0 and at most 1; got {weight}")
    if teacher is student or not teacher.built:
        reason = "the student itself" if teacher is student else "not built: load it, or call it on a batch"
        raise ValueError(f"the teacher must be another model that is built; {teacher.name!r} is {reason}")
    _check_shapes(getattr(teacher, "output_shape", None), getattr(student, "output_shape", None))
    is_training = _IsTraining()
    loss = _taught(student.compute_loss, teacher, SoftTargets(temperature), weight, is_training)
    before = {name: vars(student)[name] for name in _REPLACED if name in vars(student)}
    student.train_function = None  # one that is compiled already knows no teacher
    student.train_step, student.compute_loss = _noted(student.train_step, is_training), loss
    try:
        yield
    finally:
        for name in _REPLACED:
            delattr(student, name)  # that of the class is behind it
        for name, own in before.items():
            setattr(student, name, own)
        student.train_function = None


class _IsTraining(threading.local):
    """Whether a training step is under way in this thread: replicas trace theirs side by side."""

    here = False


def _noted(step: Callable, is_training: _IsTraining) -> Callable:
    """The `train_step` that says so, since on tf_keras the loss of a test comes by the same call."""

    def train_step(*arguments):
        is_training.here = True
        try:
            return step(*arguments)
        finally:
            is_training.here = False

    return train_step


def _taught(
    own_loss: Callable, teacher: keras.Model, divergence: SoftTargets, weight: float, is_training: _IsTraining
) -> Callable:
    """The function in the place of `compute_loss`."""

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, **training):
        own = own_loss(x, y, y_pred, sample_weight, **training)
        if not is_training.here:
            return own
        with untracked():
            scores = teacher(x, training=False)
        _check_shapes(scores.shape, y_pred.shape)
        return (1 - weight) * own + weight * divergence(scores, y_pred, sample_weight)

    return compute_loss


def _check_shapes(teacher, student):
    """Raise where the two give different classes, as far as that is known; the number of images may be unknown to one."""
    if teacher is not None and student is not None and tuple(teacher)[1:] != tuple(student)[1:]:
        raise ValueError(
            f"the teacher gives logits of shape {tuple(teacher)}, the student of {tuple(student)}: give one for the same classes"
        )
