"""`tfq export`: sets up Keras' backend, then runs the command of `tfq.export.command`."""

import sys
from collections.abc import Sequence

from tfq import backends
from tfq.terminal import one_line


def main(arguments: Sequence[str], prog: str = "python -m tfq.export") -> int:
    """Export by the command line; returns the exit status."""
    backends.choose()
    try:
        from tfq.export import command
    except (ImportError, ValueError) as error:  # no backend, one that is not installed, or none at all
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    return command.main(arguments, prog)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
