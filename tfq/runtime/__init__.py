"""Packed low-bit networks on CPUs: needs NumPy, numba and safetensors, neither Keras nor any of its backends.

engine = tfq.runtime.load("model.tfq", threads=2)
logits = engine.predict(images)
"""

__all__ = ["Engine", "load"]


def load(path, threads=1):
    """The `Engine` of a `.tfq` file.

    Args:
        path: the file.
        threads: threads that share the images of one batch.

    Raises:
        ValueError: the file is no valid `.tfq` file, its network needs more memory than any network should, or `threads` is not
            a positive integer.
    """
    from tfq.graph import check, file
    from tfq.runtime.engine import Engine

    try:
        return Engine(file.read(path), threads=threads)
    except check.GraphError as error:
        raise file.FileError(f"{path} cannot be run: {error}") from error


def __getattr__(name):
    # The graph and its file are of use without numba, which the engine loads.
    if name == "Engine":
        from tfq.runtime.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
