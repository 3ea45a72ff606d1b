"""`python -m lab.equality`."""

import sys

from tfq import backends

if __name__ == "__main__":
    backends.choose()
    from lab.equality import command  # with the backend that was chosen

    sys.exit(command.main(sys.argv[1:]))
