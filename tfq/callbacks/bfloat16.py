"""Faster training on processors that multiply bfloat16."""

from tfq.compat import allow_bfloat16, keras


class Bfloat16Training(keras.callbacks.Callback):
    """Lets the backend multiply in bfloat16 while it trains, and in float32 while it validates.

    Weights, scales, what is rounded to levels, and the saved model stay float32: the products of convolutions and dense layers
    lose bits, those of their gradients and sums between them too. Signs and the levels of few bits lose none but a
    common factor.
    """

    def on_epoch_begin(self, epoch, logs=None):
        """Allow it."""
        allow_bfloat16(True)

    def on_test_begin(self, logs=None):
        """Validate what is saved, a float32 network; so do the callbacks at the end of an epoch."""
        allow_bfloat16(False)

    def on_train_end(self, logs=None):
        """Leave the backend as it was."""
        allow_bfloat16(False)
