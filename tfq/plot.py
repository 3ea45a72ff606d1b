"""Train and test top-1 of runs, as curves: `tfq plot --out=curves.png RUN_DIR [RUN_DIR ...]`."""

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfq import files, optional
from tfq.files import PathLike
from tfq.terminal import one_line

# Runs differ by colour first, then by the kind of line; colours told apart by most colour-blind readers too (Okabe and Ito).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", ":", "-.")
_LEGEND_WIDTH = 130  # characters that fit side by side, and what a line sample takes of them
_SAMPLE_WIDTH = 6
_ENTRY_HEIGHT = 0.2  # inches
_FEW_EPOCHS = 15


class PlotError(ValueError):
    """A run that cannot be drawn; the message says why."""


def curves(run_dirs: Iterable[PathLike], out: PathLike) -> None:
    """Draw train and test top-1 of runs over the epochs, two panels in one picture.

    Args:
        run_dirs: directories that `train.py` wrote, each with a `history.csv` of which the columns epoch, top1 and val_top1
            (shares, 0 to 1) are drawn. The legend names a run by its directory.
        out: the picture to write; its ending (.png, .svg, .pdf) is its format.

    Raises:
        PlotError: a directory or its history is missing, empty or damaged, or `out` cannot be written.
        ImportError: matplotlib is not installed.
    """
    histories = [_read(Path(run_dir)) for run_dir in run_dirs]
    labels = _labels([Path(run_dir) for run_dir in run_dirs])
    figure = _draw(list(zip(labels, histories, strict=True)))
    _write(figure, Path(out))


def panels(lines: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], out: PathLike) -> None:
    """Draw lines in panels side by side, each with its legend below; a label has the same colour and line in all of them.

    Args:
        lines: {title of the panel: {label: (epochs, top-1 in %)}}.
        out: as `curves` takes it.

    Raises:
        PlotError: `out` cannot be written.
        ImportError: matplotlib is not installed.
    """
    height = 6 + _ENTRY_HEIGHT * max(map(len, lines.values()))
    figure = _matplotlib().figure.Figure(figsize=(6 * len(lines), height), layout="constrained")
    axes = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
    labels = dict.fromkeys(label for of_panel in lines.values() for label in of_panel)
    styles = dict(zip(labels, _styles(), strict=False))
    for panel, (title, of_panel) in zip(axes, lines.items(), strict=True):
        _draw_panel(panel, title, list(of_panel.values()), [styles[label] for label in of_panel])
        entries = [f"{label}  {top1[-1]:.1f}" for label, (_, top1) in of_panel.items()]
        title = "top-1 of the last epoch, %"
        panel.legend(panel.get_lines(), entries, title=title, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    axes[0].set_ylabel("top-1")
    _write(figure, Path(out))


def main(arguments: Sequence[str] | None = None, prog: str = "python -m tfq.plot") -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog=prog, description="Draw train and test top-1 of training runs.")
    parser.add_argument("run_dirs", nargs="+", metavar="RUN_DIR", help="directory that train.py wrote")
    parser.add_argument("--out", default="curves.png", help="picture to write: .png, .svg or .pdf (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        curves(options.run_dirs, options.out)
    except (PlotError, ImportError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


def _read(run_dir):
    """Epochs, train and test top-1 in percent, as three lists."""
    path = run_dir / "history.csv"
    if not run_dir.is_dir():
        raise PlotError(f"{run_dir} is not a directory")
    if not path.is_file():
        raise PlotError(f"{run_dir} has no history.csv: no epoch was completed there, or it is no run directory")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(int(row["epoch"]), 100 * float(row["top1"]), 100 * float(row["val_top1"])) for row in csv.DictReader(file)]
    except KeyError as error:
        raise PlotError(f"{path} has no column {error}") from error
    except (TypeError, ValueError, csv.Error) as error:
        raise PlotError(f"{path} cannot be read as a history: {error}") from error
    if not rows:
        raise PlotError(f"{path} holds no epoch")
    return tuple(zip(*rows, strict=True))


def _labels(run_dirs):
    """The shortest endings of the paths that tell the runs apart."""
    parts = [run_dir.resolve().parts for run_dir in run_dirs]
    longest = max(map(len, parts))
    for length in range(1, longest + 1):
        labels = ["/".join(path[-length:]) for path in parts]
        if len(set(labels)) == len(set(parts)):
            return labels
    return labels


def _draw(runs):
    # A figure of its own, without pyplot: no global backend or state is touched.
    figure = _matplotlib().figure.Figure(figsize=(12, 5), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, name, column in zip(panels, ("train", "test"), (1, 2), strict=True):
        _draw_panel(panel, name, [(history[0], history[column]) for _, history in runs], _styles())
    panels[0].set_ylabel("top-1")
    entries = [f"{label}  {train[-1]:.1f} / {test[-1]:.1f}" for label, (_, train, test) in runs]
    columns = max(1, min(len(runs), _LEGEND_WIDTH // (max(map(len, entries)) + _SAMPLE_WIDTH)))
    title = "run: train / test top-1 of the last epoch, %"
    figure.legend(panels[0].get_lines(), entries, title=title, loc="outside lower center", ncols=columns, fontsize=9)
    # What the legend takes is added below the panels.
    figure.set_figheight(5 + _ENTRY_HEIGHT * -(-len(runs) // columns))
    return figure


def _matplotlib():
    # A plot needs no Keras, which takes seconds to import.
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ModuleNotFoundError as error:
        raise ImportError(optional.missing("matplotlib", "a plot")) from error
    return matplotlib


def _styles():
    """Kinds of line and colours, without end."""
    return itertools.cycle(itertools.product(_LINES, _COLOURS))


def _draw_panel(panel, title, lines, styles):
    for (epochs, top1), (line, colour) in zip(lines, styles, strict=False):
        marker = "o" if len(epochs) < _FEW_EPOCHS else None  # a line of one point is invisible
        panel.plot(epochs, top1, line, color=colour, linewidth=1.6, marker=marker, markersize=3)
    panel.set_title(title)
    panel.set_xlabel("epoch")
    ticker = _matplotlib().ticker
    panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
    panel.yaxis.set_major_formatter(ticker.PercentFormatter())
    panel.grid(color="0.9")
    panel.spines[["top", "right"]].set_visible(False)


def _write(figure, out):
    try:
        with files.replacing(out) as partial:
            figure.savefig(partial, dpi=120)
    except OSError as error:
        raise PlotError(f"cannot write {out}: {error.strerror}") from error
    except ValueError as error:  # the ending is that of no picture
        raise PlotError(f"cannot write {out}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
