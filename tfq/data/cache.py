"""The folder that fetched data sets are kept in, as .npz files."""

import os
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfq import files
from tfq.data.errors import DataError
from tfq.files import PathLike

_ABANDONED = 3600  # seconds; an older temporary file was left by a process that was killed
KEYS = ("x_train", "y_train", "x_test", "y_test")


def folder() -> Path:
    """`$TFQ_CACHE`, or the system's place for such folders: on Linux `~/.cache/tfq`, where it once was on all of them."""
    if os.environ.get("TFQ_CACHE"):
        return Path(os.environ["TFQ_CACHE"])
    from platformdirs import user_cache_path

    before = Path.home() / ".cache" / "tfq"
    return before if before.is_dir() else user_cache_path("tfq", appauthor=False)


def read_npz(path: PathLike, optional: Sequence[str] = ()) -> tuple:
    """The four arrays of an .npz file, then those of `optional` names, None for each that is not there.

    Raises:
        DataError: it is damaged, something else, or lacks one of them.
    """
    try:
        with zipfile.ZipFile(path):  # np.load would take what is no archive for a pickle, and say so
            pass
        with np.load(path, allow_pickle=False) as file:
            check_keys(path, file)
            return *(file[key] for key in KEYS), *(file.get(key) for key in optional)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as .npz: {error}") from error


def check_keys(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise DataError where an opened .npz file lacks one of the four arrays."""
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}")


def unpacked_bytes(path: PathLike) -> int:
    """Bytes that the arrays of an .npz file take in memory; 0 where it is none, which `read_npz` says."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        return 0


def write_npz(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write the four arrays, so that a process killed meanwhile leaves nothing that is later taken for them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".writing-*-{path.name}"):
        if time.time() - leftover.stat().st_mtime > _ABANDONED:
            leftover.unlink(missing_ok=True)
    with files.replacing(path) as temporary:
        np.savez(temporary, **dict(zip(KEYS, arrays, strict=True)))
