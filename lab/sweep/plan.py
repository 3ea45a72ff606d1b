"""From rows and seeds to the commands of train.py."""

import fnmatch
from dataclasses import dataclass, replace
from pathlib import Path

from lab.sweep.recipes import RECIPES, Row
from models.networks import NETWORKS

# Flags that do not change what a run comes to: they need no tag, and go to every run.
_NEUTRAL = ("data_dir", "deterministic", "diagnose", "steps_per_execution")

# Flags that make another network of the same name.
_SHAPES = tuple(option.name for network in NETWORKS.values() for option in network.options)

# Flags that the sweep gives itself.
_OWN = ("backend", "evaluate", "flagfile", "holdout", "method", "model", "noresume", "resume", "run_dir", "seed")


class PlanError(ValueError):
    """What was asked for makes no sweep; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What all runs of a sweep share.

    Args:
        recipe: one of `RECIPES`.
        backend: for train.py; None leaves it to it.
        holdout: training images to hold out; their runs go under a name of their own.
        tag: name of a variant, likewise; empty for none.
        extra: more flags of train.py.
        run_root: where the run directories go.
        results: where the JSON files go.
    """

    recipe: str
    backend: str | None = None
    holdout: int = 0
    tag: str = ""
    extra: tuple = ()
    run_root: Path = Path("runs/sweep")
    results: Path = Path("results/sweep")

    @property
    def folder(self):
        """Name of the recipe and of what sets these runs apart from those of the plain recipe."""
        return "_".join(filter(None, (self.recipe, self.holdout and f"holdout{self.holdout}", self.tag)))

    def untagged(self):
        """The same without the variant."""
        neutral = tuple(flag for flag in self.extra if flag_name(flag) in _NEUTRAL)
        return replace(self, tag="", extra=neutral)


@dataclass(frozen=True)
class Job:
    """One run: a row and a seed, and the run whose weights it starts from."""

    row: Row
    seed: int
    settings: Settings
    parent: "Job | None" = None

    @property
    def name(self):
        """What the sweep's lines call it."""
        return f"{self.settings.folder} {self.row.name} seed {self.seed}"

    @property
    def run_dir(self):
        """Directory of the run."""
        return self.settings.run_root / self.settings.folder / self._stem

    @property
    def result(self):
        """The JSON file that is there when the run is finished."""
        return self.settings.results / self.settings.folder / f"{self._stem}.json"

    @property
    def weights(self):
        """Its last weights, for runs that start from them.

        A file beside the results rather than the checkpoint: it is there on other machines too, and is the same start for all.
        Not the best weights: those are picked on test images.
        """
        return self.settings.results / self.settings.folder / "weights" / f"{self._stem}.npz"

    @property
    def network(self):
        """Its best network, packed."""
        return self.settings.results / self.settings.folder / "networks" / f"{self._stem}.tfq"

    @property
    def is_parent(self):
        """Whether other rows start from this one."""
        own = self.settings.recipe, self.row.network, self.row.method
        rows = ((name, row) for name, recipe in RECIPES.items() for row in recipe.rows)
        return any((row.parent_recipe or name, row.network, row.parent) == own for name, row in rows)

    @property
    def _stem(self):
        return f"{self.row.network}_{self.row.method}_seed{self.seed}"

    def flags(self):
        """The flags of train.py."""
        settings = self.settings
        return [
            *self.row.arguments(),
            f"--epochs={RECIPES[settings.recipe].epochs}",
            *RECIPES[settings.recipe].flags,
            f"--seed={self.seed}",
            *([f"--holdout={settings.holdout}"] if settings.holdout else []),
            *([f"--init_from={self.parent.weights}"] if self.parent else []),
            *([f"--backend={settings.backend}"] if settings.backend else []),
            *settings.extra,
            f"--run_dir={self.run_dir}",
        ]

    def values(self):
        """The flags by name, those of the config too: {name: text}, of a flag that comes twice the last."""
        values = {}
        for flag in self.flags():
            name, text = flag_name(flag), flag.partition("=")[2]
            lines = Path(text).read_text(encoding="utf-8").splitlines() if name == "flagfile" else [flag]
            for line in (line.strip() for line in lines):
                if line.startswith("--"):
                    values[flag_name(line)] = line.partition("=")[2] or str(not line.startswith("--no")).lower()
        return values


def jobs(settings, patterns=(), seeds=(0,)):
    """The runs of a sweep, each after the one it starts from; all rows with the first seed, then with the next.

    A parent that was not asked for is one of the plain recipe, without the tag and its flags.

    Args:
        settings: the `Settings`.
        patterns: names of rows, `*` stands for anything; all rows of the recipe if empty.
        seeds: seeds of the runs.

    Raises:
        PlanError: no row has such a name, or the flags do not go together.
    """
    _check_extra(settings)
    names = [row.name for row in RECIPES[settings.recipe].rows]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise PlanError(f"--rows={pattern} is no row of recipe {settings.recipe}; its rows are {', '.join(names)}")
    chosen = [name for name in names if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    from_scratch = any(flag_name(flag) == "init_from" for flag in settings.extra)
    planned = {}

    def plan(recipe, name, seed):
        row = next(row for row in RECIPES[recipe].rows if row.name == name)
        asked_for = recipe == settings.recipe and name in chosen
        of = settings if asked_for else replace(settings.untagged(), recipe=recipe)
        parent = None
        if row.parent and not from_scratch:
            parent = plan(row.parent_recipe or recipe, f"{row.network}/{row.parent}", seed)
            _check_shape(settings, parent)
        return planned.setdefault((recipe, name, seed), Job(row, seed, of, parent))

    for seed in seeds:
        for name in chosen:
            plan(settings.recipe, name, seed)
    return list(planned.values())


def flag_name(flag):
    """The name in `--name=value`; that of a flag that is switched off comes without the `no`."""
    name = flag.lstrip("-").split("=", 1)[0]
    return name.removeprefix("no") if "=" not in flag and name.startswith("no") else name


def _check_shape(settings, parent):
    shaping = [flag for flag in settings.extra if flag_name(flag) in _SHAPES]
    if shaping and parent.settings.tag != settings.tag:
        raise PlanError(
            f"{shaping[0]} makes another network than that of {parent.name}, whose weights it would start from: "
            "name a run of the same network, --init_from=RUN_DIR, or none, --init_from="
        )


def _check_extra(settings):
    for flag in settings.extra:
        if not flag.startswith("--") or ("=" not in flag and not flag[2:].isidentifier()):
            raise PlanError(f"{flag!r} is no flag of train.py: they are written --name=value")
        if flag_name(flag) in _OWN:
            raise PlanError(f"{flag} cannot stand behind --: the sweep gives --{flag_name(flag)} to each run itself")
        if flag_name(flag) not in _NEUTRAL and not settings.tag:
            raise PlanError(f"{flag} makes other runs than the recipe's: name them, --tag=NAME")
    if settings.tag and not settings.tag.replace("-", "_").isidentifier() and not settings.tag.isalnum():
        raise PlanError(f"--tag={settings.tag} must be letters, digits, - and _")
    if settings.tag.startswith("holdout"):
        raise PlanError(f"--tag={settings.tag}: names with holdout are those of --holdout")
