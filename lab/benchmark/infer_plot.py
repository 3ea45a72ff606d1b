"""Picture of the inference benchmark."""

from tfq.optional import require


def draw(rows, path):
    """Bars of the p50 latency of a single image, by engine and number of threads.

    Args:
        rows: of the benchmark.
        path: picture to write.
    """
    figure = require("matplotlib.figure").Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in rows if row["batch"] == 1]
    names = [f"{row['engine']}, {row['threads']} thread{'s' * (row['threads'] > 1)}" for row in rows]
    bars = axes.barh(names, [row["p50_ms"] for row in rows])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.set_xlabel(f"{rows[0]['model']} {rows[0]['method']}: milliseconds an image, median")
    figure.savefig(path, dpi=150)
