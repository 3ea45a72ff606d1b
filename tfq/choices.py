"""What the flags of the training program may be. Imports nothing, so that a slip is found before Keras is loaded."""

DATASETS = ("cifar10", "cifar100", "digits", "folder", "mnist", "npz", "shards")
# The ones of the user's own.
OWN_DATA = {"npz": "FILE.npz", "folder": "DIR", "shards": "DIR"}
OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("constant", "step", "cosine", "onecycle")
# Engines of several devices, and the backends that have them.
DISTRIBUTIONS = {
    "none": ("tensorflow", "jax", "torch", "tf_keras"),
    "mirrored": ("tensorflow",),
    "multiworker": (),  # TensorFlow's users look for it: train.py names what there is instead
    "data_parallel": ("jax",),
}
BACKENDS = ("tensorflow", "jax", "torch", "tf_keras")

# A run may be prolonged only where the rate at an epoch does not depend on how many there will be.
OPEN_ENDED_SCHEDULES = ("constant", "step")


def image_size(text: str) -> tuple[int, int]:
    """(height, width) of "32" or "32x48".

    Raises:
        ValueError: it is neither.
    """
    sizes = text.lower().split("x")
    if len(sizes) > 2 or not all(size.isdecimal() and size.isascii() and 0 < int(size) <= 2**14 for size in sizes):
        raise ValueError(f"image_size={text} must be HEIGHTxWIDTH, such as 32x48, or one number for both")
    return int(sizes[0]), int(sizes[-1])
