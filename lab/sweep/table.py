"""`python -m lab.sweep table`: the accuracy table and its pictures, from the JSON files of the runs alone."""

import argparse
import statistics
import sys
from pathlib import Path

from lab.sweep import result, zoo
from lab.sweep.goals import GOALS, Goal
from lab.sweep.recipes import NETWORKS, RECIPES, TABLE
from tfq import files, plot

PAGE = Path("docs/results.md")
BEGIN, END = "<!-- accuracy -->", "<!-- /accuracy -->"

_HEADER = (
    "network",
    "method",
    "PyTorch, 100 epochs",
    "goal",
    "final",
    "best",
    "epochs before",
    "epochs",
    "seeds",
    "hardware",
    "packed, kB",
    "top-1 of the file",
)


class TableError(ValueError):
    """The table cannot be put where it was asked for; the message says why."""


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.sweep table", description=__doc__.split(": ", 1)[1])
    parser.add_argument("file", nargs="?", type=Path, default=PAGE, help=f"has the lines {BEGIN} and {END}")
    parser.add_argument("--results", type=Path, default=Path("results/sweep"), help="JSON files, and where the pictures go")
    options = parser.parse_args(arguments)
    try:
        results = [made for made in result.read_final(options.results) if made["recipe"] != "questions"]
        _check_rows(results)
        fill(options.file, markdown(results, zoo.read(options.results)))
        for path in pictures(results, options.results):
            print(path)
    except (TableError, result.ResultError, plot.PlotError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.file)
    return 0


def fill(path, table):
    """Put the table between the two markers of a file.

    Raises:
        TableError: there is no such file, it is no text, or it does not have each marker once.
    """
    if not path.is_file():
        raise TableError(f"there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise TableError(f"{path} must have {BEGIN} and, behind it, {END}, each once")
    before, rest = text.split(BEGIN)
    files.write_text(path, f"{before}{BEGIN}\n{table}{END}{rest.split(END)[1]}")


def markdown(results, packed=()):
    """A table for each recipe: every row of it, whether it was run or not, and the variants that were.

    Figures of several seeds are their mean and standard deviation. A final accuracy that reaches its goal is bold.

    Args:
        results: what `result.read_final` gave.
        packed: what `zoo.read` gave.
    """
    parts = []
    for name in TABLE:
        recipe = RECIPES[name]
        lines = [_line(_HEADER), _line("---" for _ in _HEADER)]
        for row in recipe.rows:
            of_row = [made for made in results if _key(made)[:3] == (name, row.network, row.method)]
            lines += [_row(row, name, [], "", [])] if not any(not made["tag"] for made in of_row) else []
            for tag in sorted({made["tag"] for made in of_row}):
                of_tag = [made for made in of_row if made["tag"] == tag]
                lines.append(_row(row, name, of_tag, tag, [one for one in packed if _key(one) == _key(of_tag[0])]))
        parts.append(f"Recipe `{name}`, {recipe.epochs} epochs:\n\n" + "\n".join(lines) + "\n")
    note = (
        "CIFAR-10 test top-1 in %. *final* is that of the last epoch, bold where it reaches the goal. *best* is that of the\n"
        "best epoch, which is picked on the test images. Its network is kept packed, and *top-1 of the file* is that of\n"
        "tfq.runtime on it. *epochs before* are those of the float run that a row starts from. Several seeds: mean ± standard\n"
        "deviation.\n"
    )
    return "\n".join([*parts, note])


def pictures(results, folder):
    """Draw train and test top-1 of all methods over the epochs: for each recipe that was run two pictures, a panel a network.

    Of several seeds the first is drawn.

    Args:
        results: what `result.read_final` gave.
        folder: where to.

    Returns:
        The paths.
    """
    paths = []
    for name in TABLE:
        for part in ("train", "test"):
            panels = {network: _lines(results, name, network, f"{part}_top1") for network in NETWORKS}
            panels = {f"{network}, {part}": lines for network, lines in panels.items() if lines}
            if panels:
                paths.append(Path(folder) / f"{name}_{part}.png")
                plot.panels(panels, paths[-1])
    return paths


def _check_rows(results):
    rows = {(name, row.network, row.method) for name, recipe in RECIPES.items() for row in recipe.rows}
    for made in results:
        if _key(made)[:3] not in rows:
            raise TableError(
                f"there are results of {made['model']}/{made['method']}, which recipe {made['recipe']} does not have"
            )


def _key(made):
    return made["recipe"], made["model"], made["method"], made["tag"]


def _lines(results, recipe, network, curve):
    """{label: (epochs, figures)} of the rows of a network, in the order of the recipe."""
    lines = {}
    for row in RECIPES[recipe].rows:
        for made in results:
            if _key(made)[:3] == (recipe, network, row.method) and row.network == network and made["curves"].get(curve):
                label = _label(row.method, made["tag"])
                lines.setdefault(label, (range(len(made["curves"][curve])), made["curves"][curve]))
    return lines


def _label(method, tag):
    return f"{method}, {tag}" if tag else method


def _row(row, recipe, made, tag, packed):
    goal = GOALS.get(row.name, Goal())
    aim = getattr(goal, recipe)
    finals = [one["final_top1"] for one in made]
    final = _figure(finals)
    if isinstance(aim, float) and finals and None not in finals and statistics.mean(finals) >= aim:
        final = f"**{final}**"
    if any(one["stopped"] for one in made):
        final += " (stopped)"
    return _line(
        (
            row.network,
            _label(row.method, tag),
            goal.pytorch or "-",
            aim or "-",
            final,
            _figure([one["best_top1"] for one in made]),
            _distinct(one["parent_epochs"] or "-" for one in made),
            _distinct(one["epochs"] for one in made),
            _distinct(one["seed"] for one in made),
            _distinct(one["hardware"] for one in made),
            _distinct(f"{one['bytes'] / 1000:.0f}" for one in packed),
            _figure([one["runtime_top1"] for one in packed]),
        )
    )


def _figure(values):
    """Mean and standard deviation; a run of which not one epoch was finished has no figure."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"


def _distinct(values):
    return ", ".join(dict.fromkeys(str(value) for value in values)) or "-"


def _line(cells):
    return f"| {' | '.join(str(cell) for cell in cells)} |"


if __name__ == "__main__":
    sys.exit(main())
