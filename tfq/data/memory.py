"""Whether images fit memory, before they are read into it."""

from pathlib import Path

from tfq.data.errors import DataError

_LINUX = Path("/proc/meminfo")


def check_fits(source: object, needed: int) -> None:
    """Raise DataError where so many bytes are more than the memory that is available, as far as the system says it."""
    available = _available()
    if available is not None and needed > available:
        raise DataError(
            f"{source}: the images take {needed:,} bytes of memory, and {available:,} are available; --stream leaves them on disk"
        )


def _available():
    if not _LINUX.is_file():
        return None
    lines = dict(line.split(":", 1) for line in _LINUX.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0]) if "MemAvailable" in lines else None
