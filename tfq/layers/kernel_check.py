"""Sees to it that the kernels of a layer pass through their quantizers in its first call."""

import contextlib
import functools
from typing import Any

from tfq.backend.keras import LayerMixin, is_legacy, keras
from tfq.layers.kernel import QuantizedKernel
from tfq.layers.parameters import uses


def _watched(call):
    """A `call` that sees to it that the kernel is quantized, also where it is not Keras' `__call__` that calls it."""

    @functools.wraps(call)
    def watched(self, *args, **kwargs):
        if self._calls_running or not self._unseen_kernels():
            return call(self, *args, **kwargs)
        self._check_operation()
        with self._watching():
            outputs = call(self, *args, **kwargs)
        self._check_kernels_have_passed()
        return outputs

    return watched


class ChecksKernels(LayerMixin):
    """Mixin of `QuantizedLayer`: a kernel that its first call has not quantized is an error, not a layer that trains in float.

    Raises:
        RuntimeError: in the first call: a kernel did not pass through its quantizer.
    """

    _calls_running = 0
    _kernels_passed: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):  # which Keras' `TimeDistributed` calls itself
            cls.call = _watched(cls.call)

    def note_quantized(self, kernel: QuantizedKernel) -> None:
        """Remember that a kernel passes through its quantizer in a call."""
        if self._calls_running:
            self._kernels_passed = self._kernels_passed | {kernel.name}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras; the first call sees to it that the kernel is quantized."""
        if not self._unseen_kernels():
            return super().__call__(*args, **kwargs)
        self._check_operation()
        with self._watching():
            outputs = super().__call__(*args, **kwargs)
        if not _is_symbolic(outputs):
            self._check_kernels_have_passed()
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras 3, which does not run `call` for it where a shape is enough; one of a subclass runs once, to be checked."""
        if self._unseen_kernels() and not self._is_of_contract():
            with self._watching():
                keras.Operation.compute_output_spec(self, *args, **kwargs)
            self._check_kernels_have_passed()
        return super().compute_output_spec(*args, **kwargs)

    @contextlib.contextmanager
    def _watching(self):
        # Counted, and never reset to "not passed": replicas of a distribution strategy take turns within a call.
        self._calls_running += 1
        try:
            yield
        finally:
            self._calls_running -= 1

    def _unseen_kernels(self):
        """Names of the kernels that no call has quantized yet."""
        return [
            kernel.name for kernel in self.kernels if kernel.quantizer is not None and kernel.name not in self._kernels_passed
        ]

    def _check_operation(self):
        """Raise RuntimeError where the code of `quantized_op` does not read a kernel that no call has quantized yet."""
        unseen = self._unseen_kernels()
        for position, kernel in enumerate(self.kernels, start=2):  # behind self and inputs
            if kernel.name in unseen and not uses(type(self).quantized_op, position):
                raise self._kernel_is_latent(kernel.name)

    def _check_kernels_have_passed(self):
        for name in self._unseen_kernels():
            raise self._kernel_is_latent(name)

    def _kernel_is_latent(self, name):
        place = next(place for place in self.kernel_places() if place.weight == name)
        if len(self.kernels) == 1:
            whose, remedy = "kernel", "the one that quantized_op(inputs, kernel) is given, or quantized_kernel in call"
        else:
            whose, remedy = name, "those that quantized_op is given, or `quantized` of each of `kernels` in call"
        return RuntimeError(
            f"layer {self.name!r} ({type(self).__name__}): its {whose} did not pass through {place.quantizer}="
            f"{getattr(self, place.quantizer)!r}; take {remedy}"
        )


def _is_symbolic(outputs):
    """Whether a call in Keras 3 gave shapes alone; tf_keras has run `call` for them too."""
    return not is_legacy and any(isinstance(output, keras.KerasTensor) for output in keras.tree.flatten(outputs))
