"""Says what the network costs, before training begins."""

from tfq.backend.keras import Logs, keras
from tfq.summary import flops, seed_macs, summarize
from tfq.terminal import Log


class Complexity(keras.callbacks.Callback):
    """Prints operations, parameters and memory per bit width, and the FLOPs that keras-flops counts.

    Args:
        count_relu: count the ReLUs in the line on complexity (see `tfq.summary.seed_macs`).
        log: takes the lines.
    """

    def __init__(self, count_relu: bool = False, log: Log = print) -> None:
        super().__init__()
        self.count_relu = count_relu
        self.log = log
        self._is_said = False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Print the summary, once."""
        if self._is_said:
            return
        self._is_said = True
        try:
            self._log_costs()
        except ValueError as error:  # a class of one's own, or not built
            self.log(f"==> Computational complexity:   not counted: {error}")
        else:
            self.log(f"==> FLOPs (keras-flops):        {self._flops()}")
        if self.model.built:
            self.log(f"==> Number of parameters:       {self.model.count_params() / 1e6:.2f} M")

    def _log_costs(self):
        summary = summarize(self.model)
        self.log(str(summary))
        left = seed_macs(self.model, relu=self.count_relu) / 1e6
        everything = seed_macs(self.model, quantized=True, relu=self.count_relu) / 1e6
        without = f", without {', '.join(summary.uncounted)}" if summary.uncounted else ""
        self.log(f"==> Computational complexity:   {everything:.2f} MMac, {left:.2f} of them in float{without}")

    def _flops(self):
        try:
            return f"{flops.count(self.model):,}"
        except (ImportError, ValueError) as error:
            return f"not counted: {error}"
