"""One row of figures an epoch: what curves, the best checkpoint and the stop rules are read from."""

import csv
import io
import math

from tfq.training import atomic


class History:
    """The epochs of a run so far. It travels inside the checkpoint, so that both always belong together.

    Args:
        rows: dictionaries with `epoch` (from 0) and the figures of that epoch; accuracies are shares from 0 to 1.
    """

    def __init__(self, rows=()):
        self.rows = list(rows)

    @property
    def epochs(self):
        """Number of finished epochs."""
        return len(self.rows)

    def append(self, epoch, logs):
        """Add the figures of an epoch."""
        self.rows.append({"epoch": epoch, **{name: float(value) for name, value in logs.items()}})

    def column(self, name):
        """The figures of one name, an epoch each."""
        return [row[name] for row in self.rows]

    def best_epoch(self, name="val_top1"):
        """The first epoch with the highest figure, or None while there is none; a NaN is never the best."""
        rows = [row for row in self.rows if not math.isnan(row[name])]
        return max(rows, key=lambda row: row[name])["epoch"] if rows else None

    def write_csv(self, path):
        """Write all rows to a CSV file."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.8g}" for name, value in row.items()} for row in self.rows)
        atomic.write_text(path, text.getvalue())
