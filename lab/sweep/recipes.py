"""What a sweep trains: the rows of each recipe. Plain data; what a row's training looks like stands in configs/."""

from typing import NamedTuple

# Networks as the table names them, and the flags that make them.
NETWORKS = {"resnet20": (), "nin": ("--model=nin",), "resnet20_272k": ("--width=1",)}

_METHODS = (
    *("float", "xnor", "ternary", "ternary_a1"),
    *("dorefa_a1w1", "dorefa_a2w2", "dorefa_a4w4", "dorefa_a8w8", "dorefa_a16w16"),
)

# Methods that are a config with another flag.
_PAIR = ("dorefa_a1w2g32", "dorefa_a1w2g6")
_VARIED = {"dorefa_a1w2g32": ("dorefa_g", "--g_bits=32"), "dorefa_a1w2g6": ("dorefa_g", "--g_bits=6")}

# The settings with which the PyTorch experiment did not train, beside those of the config: a rate of 0.1 that falls to 0.01, SGD.
_SGD = ("--optimizer=sgd", "--schedule=step", "--milestones=7")
_VARIED |= {
    f"dorefa_{bits}_sgd_{lr}": (f"dorefa_{bits}", *_SGD, f"--lr={lr}")
    for bits in ("a4w4", "a2w2", "a1w1")
    for lr in ("0.1", "0.01")
}
_EXPERIMENTS = tuple(
    method
    for bits in ("a4w4", "a2w2", "a1w1")
    for method in (f"dorefa_{bits}_sgd_0.1", f"dorefa_{bits}_sgd_0.01", f"dorefa_{bits}")
)


class Row(NamedTuple):
    """A network and how it is quantized.

    `parent` is the method whose trained weights, of the same network and seed, this one starts from; None for a start from
    scratch. It is a row of the recipe `parent_recipe`; None for the same one. `flags` are given to train.py behind the config.
    """

    network: str
    method: str
    parent: str | None = None
    parent_recipe: str | None = None
    flags: tuple = ()

    @property
    def name(self):
        """What `--rows` calls it."""
        return f"{self.network}/{self.method}"

    def arguments(self):
        """Flags of train.py that make this row what it is."""
        config, *varied = _VARIED.get(self.method, (self.method,))
        return [f"--flagfile=configs/{config}.cfg", *NETWORKS[self.network], *varied, *self.flags]


class Recipe(NamedTuple):
    """How long, which rows, and flags of all; a parent stands before its children."""

    epochs: int
    rows: tuple
    flags: tuple = ()


RECIPES = {
    # For two CPU cores, where an epoch takes about 3 minutes, and 5 to 6 where the processor does not multiply bfloat16.
    "short": Recipe(
        epochs=12,
        rows=(
            Row("resnet20", "float"),
            *(Row("resnet20", method, parent="float") for method in _METHODS[1:]),
            *(Row("nin", method) for method in _METHODS),
        ),
        flags=("--bfloat16",),
    ),
    # For an accelerator. Low-bit rows of resnet20 start from the float row of `short`, whose weights are committed.
    "full": Recipe(
        epochs=100,
        rows=(
            Row("resnet20", "float"),
            *(Row("resnet20", method, "float", "short") for method in _METHODS[1:]),
            *(Row("nin", method) for method in _METHODS),
            *(Row("resnet20", method, "float", "short") for method in _PAIR),
            *(Row("resnet20_272k", method) for method in ("xnor", "dorefa_a1w1", "dorefa_a2w2")),
        ),
        flags=("--bfloat16",),
    ),
    # What goes wrong in low-bit training, on a network small enough for two cores.
    "questions": Recipe(
        epochs=10,
        rows=tuple(Row("resnet20_272k", method) for method in _EXPERIMENTS),
        flags=("--bfloat16", "--diagnose"),
    ),
}

# Those of the accuracy table.
TABLE = ("short", "full")
