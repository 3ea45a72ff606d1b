"""What callbacks keep from the beginning of an epoch to its end."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class WithinEpoch(Protocol):
    """A callback whose figures of an epoch need what was there at its beginning."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays by name, of which `restore` in another process makes the same figures."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on with what `state` gave; after `on_epoch_begin`."""
