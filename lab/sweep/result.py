"""The JSON file of a run: all that the table and the pictures are made of."""

import csv
import json
from pathlib import Path

from tfq import files
from tfq.training import weights
from tfq.training.run_directory import RunDirectory

# Columns of history.csv, what they are called in `curves`, and what they are multiplied by; {} is `test` or `holdout`.
_CURVES = {
    "loss": ("train_loss", 1),
    "top1": ("train_top1", 100),
    "val_loss": ("{}_loss", 1),
    "val_top1": ("{}_top1", 100),
    "learning_rate": ("learning_rate", 1),
    "flip_ratio": ("flip_ratio", 1),
    # Of `--diagnose`.
    "val_top1_fresh": ("{}_top1_fresh", 100),
    **{name: (name, 1) for name in ("kernel_change", "kernel_mean", "kernel_max", "kernel_outside", "inputs_outside")},
}

# Of these the table, the pictures and the zoo are made.
_NEEDED = {
    **dict.fromkeys(("model", "method", "recipe", "tag", "hardware"), str),
    **dict.fromkeys(("holdout", "seed", "epochs"), int),
    **dict.fromkeys(("parent_epochs", "best_epoch"), int | None),
    **dict.fromkeys(("final_top1", "best_top1"), int | float | None),
    "stopped": str | None,
    "flags": dict,
    "curves": dict,
}

# They say where things were on one machine.
_LOCAL_FLAGS = ("data_dir", "run_dir", "resume", "evaluate", "export")
_LOCAL_PREFIXES = tuple(f"--{name}=" for name in _LOCAL_FLAGS)


_THEN = ", then "


class ResultError(RuntimeError):
    """A file of results cannot be used; the message says which and why."""


def finished(job):
    """Whether the run of a `lab.sweep.plan.Job` came to its end, good or bad."""
    summary = _summary(RunDirectory(job.run_dir))
    return bool(summary) and (summary["epochs"] >= int(job.values()["epochs"]) or bool(summary["stopped"]))


def changes(job, made):
    """Pairs (`--name=then`, `--name=now`) of the flags that were other ones when a job's result was made."""
    then = made["flags"]
    return [
        (f"--{name}={then.get(name)}", f"--{name}={now}")
        for name, now in job.values().items()
        if name not in (*_LOCAL_FLAGS, "backend", "steps_per_execution", "diagnose") and not _same(then.get(name), now)
    ]


def make(job):
    """What the run of a job came to, from its directory.

    Top-1 is in %. `best_top1` is picked on what `picked_on` says. `stopped` is the reason where training ended before its time;
    figures are None where not one epoch was finished. `parent_epochs` is the training behind the weights that the run started
    from, None where it started from scratch.
    """
    directory = RunDirectory(job.run_dir)
    flags = directory.read_flags()
    summary = _summary(directory)
    versions = json.loads(directory.versions.read_text(encoding="utf-8"))
    start = flags.get("init_from")
    return {
        "model": job.row.network,
        "method": job.row.method,
        "recipe": job.settings.recipe,
        "tag": job.settings.tag,
        "holdout": int(flags["holdout"]),
        "seed": int(flags["seed"]),
        "epochs": summary["epochs"],
        "parent_epochs": weights.epochs_behind(start) if start else None,
        "hardware": _in_turn(versions.pop("hardware")),
        "backend": _in_turn(versions.pop("backend")),
        "seconds": round(summary.get("seconds", 0), 1),
        "final_top1": _percent(summary.get("final_top1")),
        "best_top1": _percent(summary.get("best_top1")),
        "best_epoch": summary.get("best_epoch"),
        "picked_on": summary.get("picked_on"),
        "stopped": summary["stopped"],
        "commit": _in_turn(versions.pop("commit")),
        "command": "python train.py " + " ".join(flag for flag in job.flags() if not flag.startswith(_LOCAL_PREFIXES)),
        "flags": {name: value for name, value in flags.items() if name not in _LOCAL_FLAGS},
        "versions": versions,
        "curves": _curves(directory.history, "holdout" if int(flags["holdout"]) else "test"),
    }


def last_backend(made):
    """The backend that wrote the checkpoints of a run."""
    return made["backend"].split(_THEN)[-1]


def write(path, result):
    """Write a result, a line for each of its entries: curves are long."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in result.items())
    files.write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read(path):
    """One result.

    Raises:
        ResultError: it cannot be read.
    """
    result = read_json(path)
    if not isinstance(result, dict):
        raise ResultError(f"{path} holds {result!r:.40}: it is no result of a sweep")
    missing = [name for name in _NEEDED if name not in result]
    if missing:
        raise ResultError(f"{path} has no {', '.join(missing)}: it is no result of a sweep")
    for name, kind in _NEEDED.items():
        if not isinstance(result[name], kind):
            expected = getattr(kind, "__name__", kind)
            raise ResultError(f"{path} has {name}={result[name]!r:.40} where a result of a sweep has {expected}")
    for name, curve in result["curves"].items():
        if not isinstance(curve, list) or not all(isinstance(value, int | float | None) for value in curve):
            raise ResultError(f"{path}: curve {name} must be a list of numbers; got {curve!r:.40}")
    return result


def read_json(path):
    """What a JSON file holds.

    Raises:
        ResultError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError(f"{path} cannot be read: {error}") from error


def read_final(folder):
    """All results under a folder that are not of runs with held-out images, in the order of model, method, tag and seed.

    Raises:
        ResultError: there is no such folder, it has no results, or one of them cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultError(f"--results={folder} is no directory")
    results = [read(path) for path in sorted(folder.glob("*/[!.]*.json"))]
    if not results:
        raise ResultError(f"--results={folder} has no results of a sweep in folders of recipes")
    final = [result for result in results if not result["holdout"]]
    return sorted(final, key=lambda result: [result[name] for name in ("model", "method", "tag", "seed")])


def _summary(directory):
    return read_json(directory.summary) if directory.summary.is_file() else None


def _same(then, now):
    """Whether two texts of a flag mean the same: 5e-3 and 0.005 do."""
    try:
        return float(then) == float(now)
    except (TypeError, ValueError):
        return then == now


def _in_turn(parts):
    """What computed a run, the parts of one that went on elsewhere in their order; of earlier versions a text or None."""
    return (_THEN.join(parts) or None) if isinstance(parts, list) else parts


def _percent(share):
    return None if share is None else round(100 * share, 3)


def _curves(history, test_name):
    if not history.is_file():
        return {}
    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        name.format(test_name): [float(f"{factor * float(row[column]):.5g}") for row in rows]
        for column, (name, factor) in _CURVES.items()
        if rows and rows[0].get(column)
    }
