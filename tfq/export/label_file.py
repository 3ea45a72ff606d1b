"""Names of the classes in the files of formats that have no place of their own for them."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

FILENAME = "labels.txt"
FOLDER = "assets.extra"  # which TensorFlow leaves to the user


def add(path: Path, labels: Iterable[str]) -> None:
    """Put `labels.txt`, a name a line, into an artifact.

    A SavedModel gets it as `assets.extra/labels.txt`; a `.keras` file, which is a zip file, as one more member. TFLite files get
    a zip file behind their end, as the labels of TFLite's own metadata are kept: `unzip model.tflite labels.txt`.

    Args:
        path: the artifact.
        labels: names of the classes, texts.
    """
    text = "".join(f"{label}\n" for label in labels)
    if path.is_dir():
        (path / FOLDER).mkdir()
        (path / FOLDER / FILENAME).write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FILENAME), text)  # whose date is always the same


def read(path: Path) -> tuple[str, ...]:
    """The names that `add` put into an artifact; none where it did not."""
    if path.is_dir():
        file = path / FOLDER / FILENAME
        return tuple(file.read_text(encoding="utf-8").splitlines()) if file.exists() else ()
    if not zipfile.is_zipfile(path):
        return ()
    with zipfile.ZipFile(path) as archive:
        return tuple(archive.read(FILENAME).decode().splitlines()) if FILENAME in archive.namelist() else ()
