"""`python -m tfq.export`: sets up Keras' backend, then runs the command of `tfq.export.command`."""

import sys

from tfq import backends


def main(arguments):
    """Export by the command line; returns the exit status."""
    backends.choose()
    try:
        from tfq.export import command
    except (ImportError, ValueError) as error:  # no backend, one that is not installed, or none at all
        print(f"python -m tfq.export: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
