"""Names of classes in a file."""

from pathlib import Path


def read(path: Path) -> list[str]:
    """The lines of a file, one name each.

    Raises:
        ValueError: it is no text in UTF-8.
        OSError: it cannot be read.
    """
    try:
        # Some editors put a byte order mark in front, which is no part of the first name.
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
