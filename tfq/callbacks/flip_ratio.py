"""How many low-bit weights change their level."""

from collections.abc import Mapping

import numpy as np

from tfq.backend.keras import Logs, keras
from tfq.layers.kernels import kernels_in
from tfq.terminal import Log


class FlipRatio(keras.callbacks.Callback):
    """Adds `flip_ratio` to the logs: the share of quantized weights whose level differs from that at the epoch's beginning.

    The level is the sign of a binary weight, -1, 0 or 1 of a ternary one, the integer k of a DoReFa weight (2 k / n) - 1, and
    the number of steps of an LSQ weight; a scale that changes is no flip, a step that changes may move weights. A ratio that
    stays high says that weights oscillate instead of settling (larq measures that of signs, per batch). Layers of models and
    layers in the model count, a shared one once. There is no figure where no kernel is quantized. Of layers that Keras builds in
    the first batch, the first epoch is counted from the end of that batch, where others follow.

    `ratios` holds the shares of the last epoch layer by layer, by the paths of `tfq.walk`; those of the kernels of a separable
    convolution by `PATH/depthwise_kernel` and `PATH/pointwise_kernel`.

    Args:
        per_layer: add them to the logs too, as `flip_ratio/PATH`.
        log: takes the line that names the layers whose quantizer does not tell its grid.
    """

    def __init__(self, per_layer: bool = False, log: Log = print) -> None:
        super().__init__()
        self.per_layer = per_layer
        self.log = log
        self.ratios = {}
        self._left_out: set[str] = set()
        self._has_unbuilt = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember the levels."""
        self._levels, self._late = self._all_levels(), set()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Remember now those of kernels that came with the first batch."""
        self._late = set()  # what came with the last batch of an epoch has nothing to be compared with
        if self._has_unbuilt:
            now = self._all_levels()
            self._late = now.keys() - self._levels.keys()
            self._levels = now | self._levels
            self._has_unbuilt = False  # what the first batch did not build the model does not call

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare them."""
        now = self._all_levels()
        flips = {path: now[path] != self._levels[path] for path in now if path in self._levels.keys() - self._late}
        self.ratios = {path: float(np.mean(flipped)) for path, flipped in flips.items()}
        if flips:
            logs["flip_ratio"] = sum(map(np.count_nonzero, flips.values())) / sum(flipped.size for flipped in flips.values())
        if self.per_layer:
            logs.update({f"flip_ratio/{path}": ratio for path, ratio in self.ratios.items()})

    def state(self) -> dict[str, np.ndarray]:
        """The levels at the epoch's beginning."""
        return dict(self._levels)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Compare with those of `state`."""
        self._levels = dict(state)

    def _all_levels(self):
        quantized = {path: kernel for path, kernel in kernels_in(self.model).items() if _is_quantized(kernel)}
        known = {path: kernel for path, kernel in quantized.items() if kernel.grid is not None}
        self._say(set(quantized) - set(known))
        built = {path: kernel for path, kernel in known.items() if kernel.is_built}
        self._has_unbuilt = len(built) < len(known)
        return {path: _levels(kernel) for path, kernel in built.items()}

    def _say(self, left_out):
        new = sorted(left_out - self._left_out)
        if new:
            self.log(
                f"FlipRatio does not count {', '.join(new)}: levels are known of quantizers that tell their grid, as those of tfq"
            )
        self._left_out |= left_out


def _is_quantized(kernel):
    return kernel.quantizer is not None and not getattr(kernel.quantizer, "is_off", False)


def _levels(kernel):
    """The level of each weight as an integer."""
    return kernel.codes.codes.astype(np.int32)
