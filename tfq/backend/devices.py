"""The devices that the backend computes on, and whether they give the same bits each time."""

from tfq.backend.keras import backend
from tfq.optional import require

__all__ = ["accelerators", "enable_determinism"]


def enable_determinism() -> None:
    """Make every op of the backend give the same bits each time, where the backend leaves that to a switch."""
    if backend == "tensorflow":
        require("tensorflow").config.experimental.enable_op_determinism()
    elif backend == "torch":
        require("torch").use_deterministic_algorithms(True)


def accelerators() -> list[str]:
    """Names of the accelerators that the backend computes on, one for each; none where it computes on the processor."""
    if backend == "tensorflow":
        details = require("tensorflow").config.experimental.get_device_details
        return [
            details(device).get("device_name", device.name) for device in require("tensorflow").config.get_visible_devices("GPU")
        ]
    if backend == "jax":
        devices = require("jax").local_devices()
        return [device.device_kind for device in devices if device.platform != "cpu"]
    cuda = require("torch").cuda
    return [cuda.get_device_name(device) for device in range(cuda.device_count())]
