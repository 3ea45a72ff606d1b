"""What commands show: errors of one line, tables, and how far a long work is."""

import contextlib
import importlib.util
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from tfq.optional import require

# What takes the lines that a function has to say, such as `print`.
Log: TypeAlias = Callable[[str], object]

# Exit statuses: of Ctrl-C, that of shells; of SIGTERM, that of sysexits.h for what may succeed when it is tried again, by which
# schedulers tell it from an error (1) and a mistake (2).
INTERRUPTED, STOPPED = 130, 75

# rich wraps what is wider than the terminal, and a table that goes into a file or a pipe has none.
_WIDEST = 10_000


def one_line(error: object) -> str:
    """The text of an error without its line breaks."""
    return " ".join(str(error).split())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], align: str = "") -> str:
    """Rows below the names of their columns, as lines of plain text.

    Args:
        columns: the names.
        rows: the cells, each shown as `str` gives it.
        align: a letter a column, `l` for a text, which starts at the left, and `r` for a number, which ends at the right; by
            default the first one is a text, and the others are numbers.
    """
    console, rich_table = require("rich.console"), require("rich.table")
    made = rich_table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, letter in zip(columns, align or "l" + "r" * (len(columns) - 1), strict=True):
        made.add_column(name, justify={"l": "left", "r": "right"}[letter], no_wrap=True)
    for row in rows:
        made.add_row(*map(str, row))
    output = io.StringIO()
    # No colours, no [markup], no :emoji:, so that names come through as they are.
    plain = {"color_system": None, "force_jupyter": False, "markup": False, "emoji": False, "highlight": False}
    console.Console(file=output, width=_WIDEST, **plain).print(made)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while the body runs; nothing where that is no terminal, or rich is not installed.

    Args:
        what: the text in front of it.
        total: of what is to be done.

    Yields:
        The function that is told how much more is done.
    """
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
