"""Layer by layer, on the Keras model's own tensors: integer accumulators, results, and the signs and levels behind them."""

import numpy as np

from lab.equality import parts
from tfq.convert.boundary import NEAR, relative_distance
from tfq.runtime import Engine

# Largest difference of a layer's results, over the largest of its channel, that the order of float32 sums explains.
TOLERANCE = 1e-4
_BATCH = 25


def batches(count):
    """Slices that cover so many images."""
    return [slice(first, min(first + _BATCH, count)) for first in range(0, count, _BATCH)]


def deviations(reference, graph, images):
    """Standard deviation of each channel in Keras over the images, float64 (channels,), by the name of the site."""
    sites = parts.sites(graph)
    run = reference.giving(site.source for site in sites)
    moments = dict.fromkeys((site.name for site in sites), 0.0)
    for part in batches(len(images)):
        values, _ = run(images[part])
        for site in sites:
            x = values[site.source].astype(np.float64)
            x = x.reshape(-1, x.shape[-1])
            moments[site.name] = moments[site.name] + np.stack([np.ones_like(x).sum(0), x.sum(0), np.square(x).sum(0)])
    return {name: np.sqrt(np.maximum(m[2] / m[0] - (m[1] / m[0]) ** 2, 0)) for name, m in moments.items()}


def check(reference, graph, images, deviation):
    """Compare each layer of a packed graph with Keras.

    Args:
        reference: `Reference` of the Keras model.
        graph: the packed `Graph`.
        images: float32 (n, height, width, channels).
        deviation: of each site, as `deviations` gives it.

    Returns:
        List of a dictionary a layer, and list of a dictionary a site; `violations` says what is wrong in them.
    """
    paths = dict(Engine(graph).layers())
    layers = [_Layer(graph, node, paths[node.name]) for node in parts.products(graph)]
    sites = [_Site(graph, site, paths, deviation[site.name]) for site in parts.sites(graph)]
    run = reference.giving(name for part in (*layers, *sites) for name in part.names)
    for part in batches(len(images)):
        values, logits = run(images[part])
        values[graph.nodes[-1].name] = logits
        for each in (*layers, *sites):
            each.compare(reference, values)
    return [layer.row for layer in layers], [site.row for site in sites]


def violations(layers, sites):
    """What is wrong in the dictionaries of `check`, a line each."""
    lines = [
        f"layer {row['layer']}: {row['wrong_accumulators']:,} of {row['accumulators']:,} integer accumulators differ from Keras'"
        for row in layers
        if row["wrong_accumulators"]
    ]
    lines += [
        f"layer {row['layer']}: its results differ from Keras' by {row['largest_difference']:.1e} of the largest of their channel"
        for row in layers
        if not row["largest_difference"] <= TOLERANCE
    ]
    lines += [
        f"inputs of {row['site']}: {row['beyond']:,} of {row['values']:,} signs or levels differ where Keras' value is "
        f"farther than {NEAR:g} deviations from the boundary ({row['farthest']:.1e} at most)"
        for row in sites
        if row["beyond"]
    ]
    return lines


class _Layer:
    """Compares the accumulators and results of one convolution or product."""

    def __init__(self, graph, node, path):
        self._node, self._source = node, node.inputs[0]
        own = parts.results(graph, node)
        self._result = own.nodes[-1].name
        self._results = Engine(own)
        self._accumulators = None
        if parts.has_exact_sums(node):
            self._accumulators = Engine(parts.accumulators(graph, node))
        self.names = (self._source, self._result)
        count = 0 if self._accumulators else None
        self.row = {
            "layer": node.name,
            "path": path,
            "accumulators": count,
            "wrong_accumulators": count,
            "largest_difference": 0.0,
        }

    def compare(self, reference, values):
        x = reference.settled(self._node, values[self._source])
        if self._accumulators:
            expected = reference.accumulators(self._node, reference.quantized(self._node.name, self._node.quantizer, x))
            self.row["accumulators"] += expected.size
            self.row["wrong_accumulators"] += int((self._accumulators.predict(x) != expected.astype(np.float32)).sum())
        y = values[self._result]
        axes = tuple(range(y.ndim - 1))
        largest = np.maximum(np.abs(y).max(axis=axes), np.finfo(np.float32).tiny)
        difference = float((np.abs(self._results.predict(x) - y).max(axis=axes) / largest).max())
        self.row["largest_difference"] = max(self.row["largest_difference"], difference)


class _Site:
    """Compares the signs or levels of one tensor."""

    def __init__(self, graph, site, paths, deviation):
        self._site, self._deviation = site, deviation
        segment = parts.segment(graph, site)
        self._engine, self._ports = Engine(segment.graph), segment.ports
        self.names = (*segment.ports, site.source)
        own = dict(self._engine.layers()).get(segment.product)
        counts = dict.fromkeys(("values", "near", "differing", "beyond"), 0)
        # In a network of its own the convolution is to take the way that it takes in the whole one.
        same_path = segment.product is None or own == paths[segment.product]
        self.row = {"site": site.name, "behind": segment.product, "same_path": same_path, **counts, "farthest": 0.0}

    def compare(self, reference, values):
        x = values[self._site.source]
        expected = reference.quantized(self._site.name, self._site.quantizer, x)
        inputs = np.concatenate([values[port] for port in self._ports], axis=-1)
        differing = self._engine.predict(inputs) != expected
        distance = relative_distance(x, self._site.quantizer, self._deviation)
        row = self.row
        row["values"] += x.size
        row["near"] += int((distance <= NEAR).sum())
        row["differing"] += int(differing.sum())
        row["beyond"] += int((differing & (distance > NEAR)).sum())
        row["farthest"] = max(row["farthest"], float(distance[differing].max(initial=0.0)))
