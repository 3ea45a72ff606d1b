"""One part of a job, from its images to its file of results. Any engine of tasks may call it, in any process."""

import csv
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfq import files
from tfq.optional import require
from tfq.runtime import rows
from tfq.runtime.bulk import arrays
from tfq.runtime.bulk.job import Job, Part
from tfq.runtime.pictures import PictureError, Reader

# Images in memory at a time.
_BATCH = 64


def run_part(job: Job, part: Part) -> int:
    """Do a part, and write its file, whole or not at all; returns the number of its images."""
    engine, labels = _engine(job)
    made = []
    for found in _batches(job, part, engine.graph.input_shape):
        images = [image for _, image in found if not isinstance(image, str)]
        scores = iter(rows.softmax(engine.predict(np.stack(images))) if images else ())
        for name, image in found:
            is_error = isinstance(image, str)
            made += [rows.row(name, error=image)] if is_error else rows.best(name, next(scores), job.top, labels)
    with files.replacing(job.file(part)) as temporary:
        _WRITERS[job.format](temporary, made)
    return part.count


@functools.lru_cache(maxsize=1)
def _engine(job):
    """The engine of this process, and the name of each class or None."""
    from tfq import runtime

    engine = runtime.load(job.model, job.threads)
    return engine, list(job.labels or engine.graph.labels) or [None] * engine.graph.output_shape[0]


def _batches(job, part, shape) -> Iterator[list[tuple[str, np.ndarray | str]]]:
    """A few names and images at a time; in the place of one that cannot be read, what is wrong with it."""
    if part.last:
        yield from _of_array(part, shape)
        return
    reader = Reader(shape, job.resize)
    for first in range(0, len(part.names), _BATCH):
        names = part.names[first : first + _BATCH]
        yield [(rows.shown(name), _read(reader, Path(part.root) / name)) for name in names]


def _read(reader, path):
    try:
        return reader.read(path)
    except PictureError as error:
        return str(error)


def _of_array(part, shape):
    name = part.names[0]
    array = arrays.opened(Path(part.root), name, shape)
    for first in range(part.first, part.last, _BATCH):
        yield [(f"{rows.shown(name)}[{index}]", array[index]) for index in range(first, min(first + _BATCH, part.last))]


def _write_csv(path: Path, made: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows.KEYS)
        writer.writeheader()
        writer.writerows(made)


def _write_parquet(path: Path, made: list[dict[str, Any]]) -> None:
    arrow = require("pyarrow")
    types = (arrow.string(), arrow.int32(), arrow.int32(), arrow.string(), arrow.float64(), arrow.string())
    schema = arrow.schema(list(zip(rows.KEYS, types, strict=True)))
    require("pyarrow.parquet").write_table(arrow.Table.from_pylist(made, schema), path)


_WRITERS = {"csv": _write_csv, "parquet": _write_parquet}


def without_result(job: Job, parts: Sequence[Part]) -> int:
    """How many images have a reason in place of a result in the files of these parts, which are done."""
    return sum(_COUNTERS[job.format](job.file(part)) for part in parts if not part.last)  # those of an array are images


def _errors_in_csv(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(bool(row["error"]) for row in csv.DictReader(file))


def _errors_in_parquet(path: Path) -> int:
    column = require("pyarrow.parquet").read_table(path, columns=["error"])["error"]
    return len(column) - column.null_count


_COUNTERS = {"csv": _errors_in_csv, "parquet": _errors_in_parquet}
