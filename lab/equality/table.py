"""The figures of the equality benchmark as text."""

from lab.equality import network
from tfq.convert.boundary import NEAR
from tfq.terminal import table


def text(report):
    """Tables of a report of `lab.equality.command.compare`, and a line on each engine."""
    lines = [f"Layer by layer, {report['layer_images']} images, fed Keras' tensors:", *_layers(report["layers"]), ""]
    if report["activations"]:
        lines += [*_sites(report["activations"]), ""]
    lines += [line for row in report["engines"] for line in _engine(row)]
    lines += [f"{name}: left out, {why}" for name, why in report["left_out"].items()]
    return "\n".join(lines)


def _layers(rows):
    cells = []
    for row in rows:
        counts = ("-", "-") if row["accumulators"] is None else (f"{row['accumulators']:,}", f"{row['wrong_accumulators']:,}")
        cells.append((row["layer"], *counts, f"{row['largest_difference']:.1e}", row["path"]))
    return table(("layer", "accumulators", "differing", "results differ by", "path"), cells, align="lrrrl").splitlines()


def _sites(rows):
    cells = []
    for row in rows:
        counts = (f"{row[name]:,}" for name in ("values", "near", "differing", "beyond"))
        other = "" if row["same_path"] else " (on another path than in the network)"
        cells.append((row["site"], *counts, f"{row['farthest']:.1e}", f"{row['behind'] or '-'}{other}"))
    heads = ("inputs of", "values", f"within {NEAR:g}", "differing", "beyond", "farthest", "behind")
    return table(heads, cells, align="lrrrrrl").splitlines()


def _engine(row):
    name, traced = row["engine"], "images_with_flip" in row
    counted = row["images_with_flip"] if traced else row["images_near_boundary"]
    what = "a flip" if traced else f"a value within {NEAR:g} deviations of a boundary"
    yield (
        f"{name}: {row['images']:,} images, {counted:,} with {what}; logits differ, over the image's largest, by "
        f"{row['largest_difference_without']:.1e} at most without it (allowed {network.TOLERANCE:g}), "
        f"{row['largest_difference']:.1e} in all, {row['median_difference']:.1e} in the median"
    )
    yield f"{name}: {row['images_beyond_tolerance']:,} images differ by more, {row['beyond_tolerance_unexplained']:,} without it"
    if row["farthest"] and traced:
        yield f"{name}: flips start {row['farthest']:.1e} deviations from the boundary at most; images by layer: {_counts(row)}"
    elif row["farthest"]:
        yield f"{name}: each has a value within {row['farthest']:.1e}; {row['images_as_near']:,} of all images have one so near"
    yield (
        f"{name}: the same top-1 on {row['top1_agreement']:.2%}; right on {row['top1']:.2%}, Keras on {row['top1_keras']:.2%}; "
        f"{len(row['disagreements'])} disagreements"
    )
    yield from (f"  image {found['image']}: {_cause(found)}" for found in row["disagreements"])


def _counts(row):
    return ", ".join(f"{layer} {count:,}" for layer, count in row["by_layer"].items())


def _cause(disagreement):
    if disagreement["layer"] is None:
        return "nothing explains it"
    return f"inputs of {disagreement['layer']}, {disagreement['distance']:.1e} deviations from the boundary"
