"""What the flags of the training program may be. Imports nothing, so that a slip is found before Keras is loaded."""

DATASETS = ("cifar10", "cifar100", "digits", "mnist", "npz")
OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("constant", "step", "cosine", "onecycle")
BACKENDS = ("tensorflow", "jax", "torch", "tf_keras")
EXPORTS = ("savedmodel", "keras", "tflite", "tflite_int8", "lce", "tfq")
ANY_BACKEND_EXPORTS = ("keras", "tfq")
# tfmot's wrappers can be traced, but not taken apart or read back from `.keras`.
INT8_EXPORTS = ("savedmodel", "tflite")

# A run may be prolonged only where the rate at an epoch does not depend on how many there will be.
OPEN_ENDED_SCHEDULES = ("constant", "step")
