"""The figures of the equality benchmark as text."""

from tfq.benchmark import equality_network
from tfq.benchmark.equality_layers import NEAR


def text(report):
    """Tables of a report of `equality.compare`, and a line on each engine."""
    lines = [f"Layer by layer, {report['layer_images']} images, fed Keras' tensors:", *_layers(report["layers"]), ""]
    if report["activations"]:
        lines += [*_sites(report["activations"]), ""]
    lines += [line for row in report["engines"] for line in _engine(row)]
    lines += [f"{name}: left out, {why}" for name, why in report["left_out"].items()]
    return "\n".join(lines)


def _layers(rows):
    width = max(len(row["layer"]) for row in rows)
    yield f"{'layer':{width}}  {'accumulators':>15} {'differing':>10} {'results differ by':>18}  path"
    for row in rows:
        counts = ("-", "-") if row["accumulators"] is None else (f"{row['accumulators']:,}", f"{row['wrong_accumulators']:,}")
        yield f"{row['layer']:{width}}  {counts[0]:>15} {counts[1]:>10} {row['largest_difference']:>18.1e}  {row['path']}"


def _sites(rows):
    width = max(len(row["site"]) for row in rows)
    heads = ("values", f"within {NEAR:g}", "differing", "beyond", "farthest")
    yield f"{'inputs of':{width}}" + "".join(f"{head:>14}" for head in heads) + "  behind"
    for row in rows:
        counts = (row["values"], row["near"], row["differing"], row["beyond"])
        other = "" if row["same_path"] else " (on another path than in the network)"
        yield (
            f"{row['site']:{width}}" + "".join(f"{count:>14,}" for count in counts) + f"{row['farthest']:>14.1e}"
            f"  {row['behind'] or '-'}{other}"
        )


def _engine(row):
    if "images_with_flip" in row:
        counted, what = row["images_with_flip"], "with a flip"
    else:
        counted, what = row["images_near_boundary"], f"with a value within {NEAR:g} of a boundary"
    yield (
        f"{row['engine']}: {row['images']:,} images, {counted:,} {what}; on the others logits differ by "
        f"{row['largest_difference_without']:.1e} at most (allowed {equality_network.TOLERANCE:g} of the image's largest); "
        f"{row['images_beyond_tolerance']:,} images by more, {row['beyond_tolerance_unexplained']:,} of them not {what}"
    )
    yield (
        f"{row['engine']}: the same top-1 on {row['top1_agreement']:.2%}; right on {row['top1']:.2%}, Keras on {row['top1_keras']:.2%}; "
        f"{len(row['disagreements'])} disagreements"
        + "".join(f"\n  image {d['image']}: {_cause(d)}" for d in row["disagreements"])
    )


def _cause(disagreement):
    if disagreement["layer"] is None:
        return "nothing explains it"
    return f"inputs of {disagreement['layer']}, {disagreement['distance']:.1e} deviations from the boundary"
