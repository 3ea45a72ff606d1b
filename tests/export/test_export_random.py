"""Random networks of all documented layers: exported, loaded again by the runtime and as a Keras model, and compared."""

import numpy as np
import pytest
from random_models import Grower, images_for, random_model
from running import sampled, slow_on

import tfq
from tfq.backend.keras import is_legacy, keras
from tfq.export import verify
from tfq.graph import nodes as g

pytest.importorskip("numba", reason="needs tfq[runtime]")

FEW, MANY = range(24), range(24, 400)


def exported(seed, tmp_path):
    """A random model, images, and the path of its file, which the export has compared with the model."""
    model = random_model(seed)
    images = images_for(model, np.random.default_rng(seed), 48)
    (report,) = tfq.export_model(model, tmp_path, images=images)
    return model, images, report.path


# Each is compiled, and what they are to find does not depend on the backend.
@pytest.mark.parametrize("seed", sampled(FEW, {1, 3}, "tf_keras", "jax"))
def test_random_network(seed, tmp_path):
    model, images, path = exported(seed, tmp_path)
    again = tfq.load_packed(path)
    predict = tfq.runtime.load(path).predict
    verify.compare("Keras model of the file", model, lambda x: again.predict(x, verbose=0), images)
    verify.compare("file, against its own Keras model", again, predict, images)
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_many_random_networks(seed, tmp_path):
    test_random_network(seed, tmp_path)


@pytest.mark.tensorflow_only  # whose networks they are: eager JAX compiles each of their shapes, for a minute
@slow_on("tf_keras")
def test_the_networks_have_every_operation():
    """The exported ones of `FEW`, and each coding of kernels; what none of them has is not tested by them."""
    seen = set()
    for seed in range(24):
        graph = tfq.convert.from_keras.from_keras(Grower(seed).model())  # whose weights do not count here
        seen.update(type(node) for node in graph.nodes)
        seen.update(node.kernel.coding for node in graph.nodes if isinstance(getattr(node, "kernel", None), g.PackedKernel))
    operations = {cls for cls in vars(g).values() if isinstance(cls, type) and issubclass(cls, g.Node) and cls is not g.Node}
    assert seen >= operations - ({g.HardTanh} if is_legacy else set()) | {"binary", "ternary", "levels"}
