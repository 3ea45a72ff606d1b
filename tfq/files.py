"""Files that are either the old version or the new one, never half of one, whenever the process dies."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

# What takes the place of a path.
PathLike: TypeAlias = str | os.PathLike[str]


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, it takes the place of `path`.

    Args:
        path: the file to write. The temporary one ends alike, since Keras chooses the format by the ending.

    Yields:
        The temporary path. After an error it is removed and `path` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: PathLike, text: str) -> None:
    """Replace the content of a text file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
