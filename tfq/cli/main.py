"""`tfq COMMAND`: the commands by name."""

import importlib
import sys

from tfq.terminal import INTERRUPTED, one_line

# Each command: its module, which has a `main(arguments, prog)`, and what it does. A module is imported when its command is asked
# for: `run`, `benchmark` and `export` of a .tfq file are of tfq-runtime, and go
# without Keras and without the others.
COMMANDS = {
    "export": ("tfq.cli.export", "write a trained network as .tfq, C, TFLite, SavedModel, ..."),
    "run": ("tfq.runtime.__main__", "name what a packed network sees on image files"),
    "summary": ("tfq.cli.summary", "print what a network costs, layer by layer"),
    "weights": ("tfq.cli.weights", "keep the weights of a run in a small .npz file"),
    "plot": ("tfq.plot", "draw the curves of runs"),
    "benchmark": ("tfq.cli.benchmark", "measure a packed network on this machine, beside other files"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the command line names; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in COMMANDS:
        asked = arguments[:1] in (["--help"], ["-h"])
        print(_usage(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    name = arguments[0]
    module, _ = COMMANDS[name]
    try:
        return importlib.import_module(module).main(arguments[1:], f"tfq {name}") or 0
    except ModuleNotFoundError as error:
        is_own = error.name is not None and error.name.partition(".")[0] == "tfq"
        text = "it needs the whole of tfq, beside its runtime: pip install tfq" if is_own else one_line(error)
        print(f"tfq {name}: error: {text}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"tfq {name}: error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"tfq {name}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _usage() -> str:
    commands = "\n".join(f"  {name:<12} {what}" for name, (_, what) in COMMANDS.items())
    return f"usage: tfq COMMAND [--help] ...\n{commands}"
