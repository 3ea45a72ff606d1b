"""Picture of the benchmark of convolutions."""

from lab.benchmark.conv_shapes import Shape
from tfq.optional import require


def draw(rows, path):
    """Groups of bars, a convolution each, of GMAC/s by engine, on a logarithmic scale; a line shows the popcount limit.

    Args:
        rows: of the benchmark.
        path: picture to write.
    """
    figure = require("matplotlib.figure").Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    shapes = list(dict.fromkeys(_shape(row) for row in rows))
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    width = 0.8 / len(engines)
    for index, engine in enumerate(engines):
        speeds = {_shape(row): row["gmac_s"] for row in rows if row["engine"] == engine}
        places = [place + (index - (len(engines) - 1) / 2) * width for place in range(len(shapes))]
        axes.bar(places, [speeds[shape] for shape in shapes], width, label=engine)
    limit = sorted(row["popcount_limit_gmac_s"] for row in rows)[len(rows) // 2]
    axes.axhline(limit, color="black", linestyle="--", linewidth=1, label=f"popcount limit, {limit:.0f}")
    axes.set_yscale("log")
    axes.set_ylabel("GMAC/s, one thread")
    axes.set_xticks(range(len(shapes)), [str(shape).replace(", ", "\n") for shape in shapes], fontsize=8)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def _shape(row):
    return Shape(*(row[name] for name in Shape._fields))
