"""Networks with operations from outside of this package: they are run in NumPy."""

import time

import numpy as np

from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.runtime.inputs import checked_images, checked_output, checked_threads

_PATH = "NumPy"
# Images at a time: in NumPy each tensor of them is in memory at once.
_BATCH = 32


def foreign(graph: g.Graph) -> list[g.Node]:
    """The operations of a graph that are none of this package."""
    return [node for node in graph.nodes if type(node) not in g.BUILT_IN]


class PlainEngine:
    """A network that `tfq.graph.reference` computes: any registered operation, slowly; otherwise as `Engine`.

    Args:
        graph: `tfq.graph.nodes.Graph`.
        threads: as `Engine` takes them; NumPy makes nothing of them.

    Raises:
        ValueError: `threads` is not a positive integer.
    """

    def __init__(self, graph: g.Graph, threads: int = 1) -> None:
        self.graph = graph
        self.threads = checked_threads(threads)

    def predict(self, images: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Results for a batch of images, float32; see `Engine.predict`."""
        images = checked_images(self.graph, images)
        shape = (len(images), *self.graph.output_shape)
        results = np.empty(shape, np.float32) if out is None else checked_output(shape, out)
        if np.may_share_memory(images, results):
            images = images.copy()
        for first in range(0, len(images), _BATCH):
            part = slice(first, first + _BATCH)
            results[part] = reference.run(self.graph, images[part])
        return results

    def layers(self) -> list[tuple[str, str]]:
        """(name, path) of each convolution and product."""
        return [(node.name, _PATH) for node in self.graph.nodes if hasattr(node, "kernel")]

    def warm_up(self) -> float:
        """Seconds until it is ready: none, as nothing is compiled."""
        return 0.0

    def profile(self, images: np.ndarray, repeats: int = 20) -> list[tuple[str, str, float]]:
        """Time of each operation: (its name, path, seconds an image), the best of `repeats` rounds over the images."""
        tensors = reference.tensors(self.graph, checked_images(self.graph, images))
        return [
            (node.name, _PATH, min(_seconds(node, tensors) for _ in range(repeats)) / len(images)) for node in self.graph.nodes
        ]


def _seconds(node, tensors):
    begin = time.perf_counter()
    node.compute(*(tensors[name] for name in node.inputs))
    return time.perf_counter() - begin
