"""`tfq export`: a packed network as C goes without Keras, all else by `tfq.export`."""

import importlib
from pathlib import PurePath


def main(arguments: list[str], prog: str = "tfq export") -> int:
    """Export by the command line; returns the exit status."""
    is_packed = any(PurePath(argument).suffix == ".tfq" for argument in arguments if not argument.startswith("-"))
    command = importlib.import_module("tfq.c.command" if is_packed else "tfq.export.__main__")
    return command.main(arguments, prog)
