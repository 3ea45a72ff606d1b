"""`python -m lab.sweep`: train the rows of the accuracy table. `... table`: render it. `... zoo`: test the packed networks.

`... questions`: draw the runs of recipe questions.
"""

import argparse
import importlib
import sys
from pathlib import Path

from lab.sweep import plan, process, result, run
from lab.sweep.recipes import RECIPES
from tfq import backends
from tfq.arguments import integer
from tfq.choices import BACKENDS

COMMANDS = ("table", "zoo", "questions")


def main(arguments=None):
    """Run the command; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    backends.choose()
    if arguments and not arguments[0].startswith("-"):
        return _command(*arguments)
    own, extra = _split(arguments)
    parser = _parser()
    options = parser.parse_args(own)
    if not Path("train.py").is_file() or not Path("configs").is_dir():
        parser.exit(2, "error: python -m lab.sweep runs train.py with configs/: call it in a checkout of tfq\n")
    settings = plan.Settings(
        recipe=options.recipe,
        backend=options.backend,
        holdout=options.holdout,
        tag=options.tag,
        extra=tuple(extra),
        run_root=options.run_root,
        results=options.results,
    )
    try:
        jobs = plan.jobs(settings, options.rows, options.seeds)
        if options.list:
            return _print(jobs)
        process.end_on_sigterm()
        return run.sweep(jobs, _seconds(options), log=_log, at_once=options.at_once)
    except (plan.PlanError, result.ResultError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        return 130


def _command(name, *arguments):
    if name not in COMMANDS:
        print(f"error: unknown command {name!r}; known are {', '.join(COMMANDS)}, or --recipe=... to train", file=sys.stderr)
        return 2
    # Imported here: training needs neither pictures nor the runtime.
    return importlib.import_module(f"lab.sweep.{name}").main(list(arguments))


def _split(arguments):
    """What stands before and behind `--`."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m lab.sweep",
        usage="%(prog)s [options] [-- FLAG_OF_TRAIN ...]   or   %(prog)s table|zoo|questions [--help]",
        description="Train rows of the accuracy table; started again, it goes on where it was stopped.",
        epilog="Exit status: 0 all runs are finished, 1 some failed, 2 wrong arguments, 3 the time was up.",
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", choices=RECIPES, required=True, help="short: 12 epochs, for two cores; full: 100, for a GPU")
    parser.add_argument("--rows", type=_names, default=[], help="such as resnet20/xnor,nin/*; default: all of the recipe")
    parser.add_argument("--seeds", type=_numbers, default=[0], help="such as 0,1,2; default: 0")
    parser.add_argument("--hours", type=_time, help="time budget; may be given together with --minutes")
    parser.add_argument("--minutes", type=_time, help="likewise; default: none")
    parser.add_argument("--at_once", type=integer(), default=1, help="runs side by side, on parts of the processors; default: 1")
    parser.add_argument("--backend", choices=BACKENDS, help="for train.py; default: what Keras is set to")
    parser.add_argument("--holdout", type=integer(0), default=0, help="hold out so many training images, to choose a recipe on")
    parser.add_argument("--tag", default="", help="name of a variant, whose runs and results go under it")
    parser.add_argument("--run_root", type=Path, default=Path("runs/sweep"), help="for run directories; default: %(default)s")
    parser.add_argument("--results", type=Path, default=Path("results/sweep"), help="for the JSON files; default: %(default)s")
    parser.add_argument("--list", action="store_true", help="print what is done and the commands of the rest; train nothing")
    return parser


def _names(text):
    names = [name for name in text.split(",") if name]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no row")
    return names


def _numbers(text):
    return [integer(0)(number) for number in text.split(",")]


def _time(text):
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return value


def _seconds(options):
    given = [(options.hours, 3600), (options.minutes, 60)]
    return sum(unit * value for value, unit in given if value) if options.hours or options.minutes else None


def _print(jobs):
    for job in jobs:
        done = job.result.exists() and result.read(job.result)  # a damaged one is an error
        print(f"{job.name}: " + (f"done, {job.result}" if done else "python train.py " + " ".join(job.flags())))
    return 0


def _log(line):
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
