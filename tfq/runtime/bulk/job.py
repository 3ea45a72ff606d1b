"""What is to be done, in parts, and what of it is done."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfq import files
from tfq.files import PathLike
from tfq.graph import file
from tfq.optional import require
from tfq.runtime.bulk import arrays
from tfq.runtime.pictures import image_endings

FORMATS = ("csv", "parquet")
# Readers of tables leave out what begins so.
_MANIFEST = "_job.json"


class ResumeError(ValueError):
    """The folder of results is of another job, or another process is writing to it; one line that says in what."""


@dataclass(frozen=True)
class Job:
    """A network, images, and a folder for its results.

    Attributes:
        model: `.tfq` file.
        images: folder of image files, those of its subfolders too, or of `.npy` files, uint8 (N, H, W, C); or one `.npy` file.
        out: folder of the results, `part-NUMBER.FORMAT` each with the rows of `tfq.runtime.rows.KEYS`.
        format: `csv`, or `parquet`, which needs pyarrow.
        top: classes named an image.
        labels: names of the classes; those of the network by default.
        resize: scale image files of another size than the network takes.
        threads: of each process.
        images_a_part: how many a file of results is of, at most. A process that is killed loses less than that.
    """

    model: PathLike
    images: PathLike
    out: PathLike
    format: str = "csv"
    top: int = 1
    labels: tuple[str, ...] = ()
    resize: bool = False
    threads: int = 1
    images_a_part: int = 4096

    def file(self, part: "Part") -> Path:
        """Where the results of a part go."""
        return Path(self.out) / f"part-{part.number:06}.{self.format}"


@dataclass(frozen=True)
class Part:
    """Some of the images: image files, or the rows from `first` to before `last` of one `.npy` file.

    Paths are relative to `root`.
    """

    number: int
    root: str
    names: tuple[str, ...]
    first: int = 0
    last: int = 0

    @property
    def count(self) -> int:
        """Number of images."""
        return self.last - self.first or len(self.names)


@contextlib.contextmanager
def writing(job: Job) -> Iterator[list[Part]]:
    """Hold the folder of results against other processes; gives all parts of the job, as its images are now.

    The folder is made, or found to be of the same job. What killed processes left half written is removed.

    Raises:
        ResumeError: it is of another job, or another process holds it.
        ValueError: there are no images, or an argument does not fit. Then nothing is written.
    """
    parts, now = _found(job)
    Path(job.out).mkdir(parents=True, exist_ok=True)
    # Before the manifest: of two jobs that begin at once, the tables of one would stand beside that of the other.
    with _held(Path(job.out)):
        _enter(job, now)
        for leftover in Path(job.out).glob(".writing-*-part-*"):
            leftover.unlink(missing_ok=True)
        yield parts


@contextlib.contextmanager
def _held(folder):
    lock = require("filelock").FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except TimeoutError as error:
        raise ResumeError(f"another process is writing to {folder}: wait for it, or give another folder") from error
    try:
        yield
    finally:
        lock.release()


def _found(job):
    """All parts of a job, and what it is known by."""
    if job.format not in FORMATS or job.images_a_part < 1:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, and images_a_part at least 1; got {job}")
    graph = file.read(job.model)
    if job.labels and graph.output_shape != (len(job.labels),):
        raise ValueError(f"{job.model} gives results of shape {graph.output_shape} an image; got {len(job.labels)} labels")
    root, found = _find(Path(job.images))
    if not found:
        raise ValueError(f"there are no image files and no .npy files in {job.images}")
    parts = _parts(root, found, job.images_a_part, graph.input_shape)
    return parts, _described(job, root, found, job.labels or graph.labels)


def _enter(job, now):
    """Write into the folder of results what the job is known by, or see that the same stands there."""
    manifest = Path(job.out) / _MANIFEST
    if manifest.is_file():
        _check_same(job, _read(manifest), now)
    elif any(Path(job.out).glob("part-*")):
        raise ResumeError(f"{job.out} holds results of an unknown job, without {_MANIFEST}: give an empty folder")
    else:
        files.write_text(manifest, json.dumps(now, indent=1) + "\n")


def pending(job: Job, parts: Sequence[Part]) -> list[Part]:
    """Those of the parts that have no results yet."""
    return [part for part in parts if not job.file(part).exists()]


def _find(images):
    """The folder, and the names of the image files, or of the `.npy` files, under it."""
    if images.is_file():
        return images.parent, [images.name]
    if not images.is_dir():
        raise ValueError(f"there is no folder {images}")
    endings = image_endings()
    pictures, stacks = [], []
    for folder, folders, names in os.walk(images, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            ending = os.path.splitext(name)[1].lower()
            path = os.path.relpath(os.path.join(folder, name), images)
            if ending == ".npy":
                stacks.append(path)
            elif ending in endings:
                pictures.append(path)
    if pictures and stacks:
        raise ValueError(f"{images} holds both image files and .npy files, such as {pictures[0]} and {stacks[0]}: give one kind")
    return images, pictures or stacks


def _refuse(error):
    """A folder that cannot be listed would be left out by `os.walk`."""
    raise error


def _parts(root, found, most, shape):
    if not found[0].lower().endswith(".npy"):
        pieces = [(tuple(found[first : first + most]), 0, 0) for first in range(0, len(found), most)]
    else:
        counts = {name: len(arrays.opened(root, name, shape)) for name in found}
        pieces = [((name,), first, min(first + most, count)) for name, count in counts.items() for first in range(0, count, most)]
    return [Part(number, str(root), *piece) for number, piece in enumerate(pieces)]


def _described(job, root, found, labels) -> dict[str, Any]:
    """What a job is known by: whatever changes a row, or the part that it stands in."""
    listed = hashlib.blake2b(digest_size=16)
    for name in found:
        listed.update(os.fsencode(f"{name}\0{_size(root / name)}\n"))
    settings = {name: value for name, value in asdict(job).items() if name not in ("model", "images", "out", "threads")}
    model = hashlib.sha256(Path(job.model).read_bytes()).hexdigest()
    return {"model": model, "images": listed.hexdigest(), **settings, "labels": list(labels)}


def _size(path):
    # A link to nothing has a row of its own, which says so.
    return path.stat().st_size if path.exists() else 0


def _read(manifest):
    try:
        return dict(json.loads(manifest.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ResumeError(f"{manifest} is damaged, so the job of its folder is unknown: give an empty folder") from error


def _check_same(job, before, now):
    other = [name for name in now if before.get(name) != now[name]]
    if other:
        raise ResumeError(f"{job.out} holds results of another job: {', '.join(other)} differ; give an empty folder, or the same")
