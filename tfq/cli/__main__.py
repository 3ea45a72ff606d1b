"""`python -m tfq.cli`, where the script `tfq` is not in the path."""

import sys

from tfq.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
