"""End to end: logits and classes of an engine against Keras', and the quantized values that explain where they differ."""

import numpy as np

from lab.equality import parts
from lab.equality.layers import batches
from tfq.convert.boundary import NEAR, relative_distance
from tfq.export.verify import TOLERANCE, top1
from tfq.runtime import Engine

# Least share of the images with the same top-1 class.
TOP1 = 0.995


class Traced:
    """The packed network, giving besides its logits the integers of each site of the same run.

    Args:
        graph: the packed `Graph`.
        engine: function from a graph to what runs it.
        summed: operations whose accumulators are given too.

    Attributes:
        plain: the engine of the network as it is.
        same_without_trace: whether it has given the same logits as the network that shows its integers.
    """

    def __init__(self, graph, engine=Engine, summed=()):
        traced, sizes = parts.traced(graph, summed)
        self.plain, self._traced = engine(graph), engine(traced)
        self._ends = np.cumsum([0, *sizes])
        self.same_without_trace = True

    def __call__(self, images):
        """Logits (n, classes), and a list of integers (n, size), one a site, and then one an operation of `summed`."""
        found = self._traced.predict(images)
        logits = found[:, self._ends[-1] :]
        plain = self.plain.predict(images).reshape(len(images), -1)
        self.same_without_trace &= np.array_equal(plain, logits)
        parts = zip(self._ends[:-1], self._ends[1:], strict=True)
        return plain, [found[:, first:last] for first, last in parts]


class Comparison:
    """Collects what the logits of one engine are against Keras'.

    An image counts as explained where the two engines may differ: an image with a flip, where the engine's own signs and levels
    can be read; else one in which Keras has a value within `NEAR` of a boundary.

    Args:
        engine: its name.
        traced: whether its signs and levels are read.
    """

    def __init__(self, engine, traced):
        self.engine, self.traced = engine, traced
        self._difference, self._distance, self._explained = [], [], []
        self._same, self._right, self._keras_right = [], [], []
        self._by_layer, self._disagreements = {}, []

    def add(self, logits, expected, labels, where, distance):
        """Add images.

        Args:
            logits: of the engine, (n, classes).
            expected: Keras' logits.
            labels: the right classes, (n,).
            where: for each image the site that explains a difference, or None: that of its first flip, or of the value nearest
                to a boundary.
            distance: of Keras' value there from the boundary, over the channel's deviation, (n,).
        """
        logits, expected = logits.reshape(len(logits), -1), expected.reshape(len(expected), -1)
        largest = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
        difference = np.abs(logits - expected).max(axis=1) / largest
        own, theirs = top1(logits, expected, largest), expected.argmax(axis=1)
        first = len(self._same)
        self._difference += list(np.where(np.isnan(difference), np.inf, difference))
        self._distance += list(distance)
        self._explained += [site is not None for site in where]
        self._same += list(own == theirs)
        self._right += list(logits.argmax(axis=1) == labels)
        self._keras_right += list(theirs == labels)
        for index, site in enumerate(where):
            if site is not None:
                self._by_layer[site] = self._by_layer.get(site, 0) + 1
            if own[index] != theirs[index]:
                self._disagreements.append({"image": first + index, "layer": site, "distance": float(distance[index])})

    def row(self):
        """The figures as a dictionary; its differences are over the largest absolute logit of the image."""
        difference, distance, explained = np.array(self._difference), np.array(self._distance), np.array(self._explained)
        counted = "images_with_flip" if self.traced else "images_near_boundary"
        beyond = ~(difference <= TOLERANCE)
        farthest = float(distance[explained if self.traced else beyond & explained].max(initial=0.0))
        return {
            "engine": self.engine,
            "images": len(difference),
            counted: int(explained.sum()),
            "largest_difference_without": float(difference[~explained].max(initial=0.0)),
            "largest_difference": float(difference.max()),
            "median_difference": float(np.median(difference)),
            "images_beyond_tolerance": int(beyond.sum()),
            "beyond_tolerance_unexplained": int((beyond & ~explained).sum()),
            "top1_agreement": float(np.mean(self._same)),
            "top1": float(np.mean(self._right)),
            "top1_keras": float(np.mean(self._keras_right)),
            # How far from the boundary flips start; or what differs has its nearest value, and how many images have one so near.
            "farthest": farthest,
            "images_as_near": int((distance <= farthest).sum()) if farthest and not self.traced else None,
            "by_layer": self._by_layer,
            "disagreements": self._disagreements,
        }


def check(reference, graph, images, labels, deviation, others=()):
    """Compare logits on images, batch by batch.

    Args:
        reference: `Reference` of the Keras model.
        graph: the packed `Graph`.
        images: function from a slice to float32 images.
        labels: the right classes, (n,).
        deviation: of each site, as `lab.equality.layers.deviations` gives it.
        others: (name, function from images to logits, number of images) of engines whose signs and levels cannot be read.

    Returns:
        List of a dictionary an engine; `violations` says what is wrong in them.
    """
    sites = parts.sites(graph)
    run, trace = reference.giving(site.source for site in sites), Traced(graph)
    own = Comparison("tfq", traced=True)
    rest = [(Comparison(name, traced=False), predict, count) for name, predict, count in others]
    for part in batches(len(labels)):
        batch = images(part)
        values, expected = run(batch)
        logits, found = trace(batch)
        seen = _Seen(reference, sites, len(batch), values, deviation)
        own.add(logits, expected, labels[part], *seen.flips(found))
        for comparison, predict, count in rest:
            few = max(0, min(part.stop, count) - part.start)
            if few:
                where, distance = seen.nearest()
                comparison.add(predict(batch[:few]), expected[:few], labels[part][:few], where[:few], distance[:few])
    rows = [comparison.row() for comparison in (own, *(comparison for comparison, *_ in rest))]
    rows[0]["same_without_trace"] = trace.same_without_trace
    return rows


def violations(row):
    """What is wrong in a dictionary of `check`, a line each."""
    name, lines = row["engine"], []
    cause = "a flip" if "images_with_flip" in row else f"a value within {NEAR:g} deviations of a boundary"
    if row["beyond_tolerance_unexplained"]:
        lines.append(
            f"{name}: on {row['beyond_tolerance_unexplained']} of {row['images']} images the logits differ by more than "
            f"{TOLERANCE:g} without {cause} ({row['largest_difference_without']:.1e} at most)"
        )
    if row["top1_agreement"] < TOP1:
        lines.append(f"{name}: the same top-1 on {row['top1_agreement']:.2%} of {row['images']} images, less than {TOP1:.1%}")
    untraced = [found["image"] for found in row["disagreements"] if found["layer"] is None]
    if untraced:
        lines.append(f"{name}: another top-1 without {cause} on images {', '.join(map(str, untraced[:10]))}")
    if "images_with_flip" in row and row["farthest"] > NEAR:
        layer = max(row["by_layer"], key=row["by_layer"].get)
        lines.append(
            f"{name}: an image's first flip lies {row['farthest']:.1e} deviations from the boundary, more than {NEAR:g}; "
            f"most images flip first at the inputs of {layer}"
        )
    if not row.get("same_without_trace", True):
        lines.append(
            f"{name}: the network gives other logits when its signs and levels are read: they are not those of the plain run"
        )
    return lines


def first_flips(count, sites, found, expected, values, deviation):
    """For each image the site of its first flip, or None, and the largest distance from the boundary of the flips there.

    Args:
        count: number of images.
        sites: the `Site`s of the graph.
        found: integers of an engine, (n, ...), one array a site.
        expected: those of the reference, likewise.
        values: what is quantized, (n, ..., channels), by the name of the tensor.
        deviation: of each site, as `lab.equality.layers.deviations` gives it.
    """
    where, distance = [None] * count, np.zeros(count)
    for site, own, theirs in zip(sites, found, expected, strict=True):
        x = values[site.source]
        differing = own.reshape(x.shape) != theirs.reshape(x.shape)
        for image in np.flatnonzero(differing.reshape(count, -1).any(axis=1)):
            if where[image] is None:
                where[image] = site.name
                distance[image] = relative_distance(x[image], site.quantizer, deviation[site.name])[differing[image]].max()
    return where, distance


class _Seen:
    """Keras' values at the sites in one batch."""

    def __init__(self, reference, sites, images, values, deviation):
        self._reference, self._sites, self._images = reference, sites, images
        self._values, self._deviation = values, deviation
        self._nearest = None

    def flips(self, found):
        """`first_flips` against what Keras makes of its own values."""
        expected = [self._reference.quantized(site.name, site.quantizer, self._values[site.source]) for site in self._sites]
        return first_flips(self._images, self._sites, found, expected, self._values, self._deviation)

    def nearest(self):
        """For each image the site of the value nearest to a boundary, None where that is beyond `NEAR`, and its distance."""
        if self._nearest is None:
            where, distance = [None] * self._images, np.full(self._images, np.inf)
            for site in self._sites:
                own = relative_distance(self._values[site.source], site.quantizer, self._deviation[site.name])
                own = own.reshape(self._images, -1).min(axis=1)
                for image in np.flatnonzero((own < distance) & (own <= NEAR)):
                    where[image] = site.name
                distance = np.minimum(distance, own)
            self._nearest = where, distance
        return self._nearest
