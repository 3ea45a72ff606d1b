"""One row of figures an epoch: what curves, the best checkpoint and the stop rules are read from."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

from tfq import files
from tfq.files import PathLike


class History:
    """The epochs of a run so far. It travels inside the checkpoint, so that both always belong together.

    Args:
        rows: dictionaries with `epoch` (from 0) and the figures of that epoch; accuracies are shares from 0 to 1.
        unvalidated: the row of an epoch that was trained, but whose validation is not done, or None.
        steps: steps behind the weights of an epoch that was stopped within its training; 0 between epochs.
    """

    def __init__(self, rows: Iterable[dict[str, Any]] = (), unvalidated: dict[str, Any] | None = None, steps: int = 0) -> None:
        self.rows = list(rows)
        self.unvalidated = unvalidated
        self.steps = steps

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `text` gave, also that of an earlier version, whose checkpoints came after the validation."""
        content = json.loads(text)
        return cls(**content) if isinstance(content, dict) else cls(content)

    def text(self) -> str:
        """The history as JSON."""
        within = {"steps": self.steps} if self.steps else {}  # without it, earlier versions read it too
        return json.dumps({"rows": self.rows, "unvalidated": self.unvalidated, **within})

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.rows)

    @property
    def trained(self) -> int:
        """Number of epochs behind the weights: one more than `epochs` before the validation of the last."""
        return len(self.rows) + (self.unvalidated is not None)

    def append_trained(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep the figures of an epoch's training until `append` adds the whole epoch."""
        self.unvalidated = _row(epoch, logs)
        self.steps = 0

    def append(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Add the figures of an epoch."""
        self.rows.append(_row(epoch, logs))
        self.unvalidated = None

    def column(self, name: str) -> list[float]:
        """The figures of one name, an epoch each."""
        return [row[name] for row in self.rows]

    def best_epoch(self, name: str = "val_top1") -> int | None:
        """The first epoch with the highest figure, or None while there is none; a NaN is never the best."""
        rows = [row for row in self.rows if not math.isnan(row[name])]
        return max(rows, key=lambda row: row[name])["epoch"] if rows else None

    def write_csv(self, path: PathLike) -> None:
        """Write all rows to a CSV file."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.8g}" for name, value in row.items()} for row in self.rows)
        files.write_text(path, text.getvalue())


def _row(epoch, logs):
    return {"epoch": epoch, **{name: float(value) for name, value in logs.items()}}
