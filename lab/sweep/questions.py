"""`python -m lab.sweep questions`: pictures of the runs of recipe `questions`, from their JSON files alone."""

import argparse
import sys
from pathlib import Path

from lab.sweep import result
from lab.sweep.recipes import RECIPES
from tfq import plot

# What a panel shows: its title, and how the curve is called behind the name of the images it is measured on.
_PANELS = (
    ("training images", "train_top1"),
    ("unseen images, moving statistics", "{}_top1"),
    ("unseen images, fresh statistics", "{}_top1_fresh"),
)


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.sweep questions", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--results", type=Path, default=Path("results/sweep"), help="JSON files, and where the pictures go")
    options = parser.parse_args(arguments)
    try:
        for path in pictures(options.results):
            print(path)
    except (result.ResultError, plot.PlotError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def pictures(folder):
    """Draw top-1 over the epochs, a picture for each number of bits: in training, in the test, and in one with fresh statistics.

    Fresh statistics of batch normalization are those that `--diagnose` takes from training images after the epoch. Of several
    seeds the first is drawn.

    Args:
        folder: has `questions*/*.json`; the pictures go there.

    Returns:
        The paths.

    Raises:
        ResultError: there are none, or one cannot be read.
    """
    known = [row.method for row in RECIPES["questions"].rows]
    found = [made for path in sorted(folder.glob("questions*/[!.]*.json")) if (made := result.read(path))["method"] in known]
    if not found:
        raise result.ResultError(f"--results={folder} has no results of recipe questions")
    paths = []
    for bits in dict.fromkeys(_bits(row.method) for row in RECIPES["questions"].rows):
        runs = [made for made in found if _bits(made["method"]) == bits]
        if runs:
            paths.append(folder / f"questions_{bits}.png")
            plot.panels({f"{bits}, {title}": _lines(runs, curve) for title, curve in _PANELS}, paths[-1])
    return paths


def _bits(method):
    """`a2w2` of `dorefa_a2w2_sgd_0.1`."""
    return method.split("_")[1]


def _lines(runs, curve):
    """{label: (epochs, figures)} in the order of the recipe, variants behind their row."""
    order = [row.method for row in RECIPES["questions"].rows]
    lines = {}
    for made in sorted(runs, key=lambda made: (order.index(made["method"]), made["tag"], made["seed"])):
        values = made["curves"].get(curve.format("holdout" if made["holdout"] else "test"), [])
        if values:
            behind = made["parent_epochs"] or 0  # where it goes on from another run
            lines.setdefault(_label(made), (range(behind, behind + len(values)), values))
    return lines


def _label(made):
    flags = made["flags"]
    setting = f"SGD, rate {flags.get('lr')}" if flags.get("optimizer") == "sgd" else "as shipped"
    return ", ".join(filter(None, (setting, made["tag"])))
