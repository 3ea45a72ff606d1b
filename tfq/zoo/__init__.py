"""Trained packed networks by name: docs/zoo.md.

path = tfq.zoo.path("resnet20_xnor_cifar10")  # of a `.tfq` file, for `tfq.runtime`
model = tfq.zoo.load("resnet20_xnor_cifar10")  # as a Keras model

Needs NumPy alone but for `load`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Network", "load", "names", "path"]

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[1]


@dataclass(frozen=True)
class Network:
    """What is known of a network.

    Attributes:
        top1: share of test images whose best class is the right one, in %, measured from the file by `tfq.runtime`.
        bytes: size of the file.
        dataset: the images that it was trained on, and whose test images `top1` is of.
        recipe: how it was trained: the command of `train.py`.
        result: the JSON file of the run, in the repository.
        file: where the file lies in the repository; within the package, if it comes with it.
    """

    top1: float
    bytes: int
    dataset: str
    recipe: str
    result: str
    file: str


def names() -> dict[str, Network]:
    """The networks by name, the most accurate first."""
    found = json.loads((_HERE / "networks.json").read_text(encoding="utf-8"))
    return {name: Network(**known) for name, known in sorted(found.items(), key=lambda item: -item[1]["top1"])}


def path(name: str) -> Path:
    """The `.tfq` file of a network.

    Raises:
        ValueError: the name is unknown.
        FileNotFoundError: the file is too large to come with the package; the message says where it lies.
    """
    known = names()
    if name not in known:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(known)}")
    found = _CHECKOUT / known[name].file
    if not found.is_file():
        raise FileNotFoundError(
            f"{name} has {known[name].bytes:,} bytes and does not come with the package: "
            f"it lies at {known[name].file} in tfq's repository"
        )
    return found


def load(name: str) -> Any:
    """A network as a `keras.Model`, which takes float32 images prepared as in training; see `tfq.load_packed`.

    Raises:
        ValueError, FileNotFoundError: as `path`.
        ImportError: there is `tfq-runtime` alone.
    """
    import tfq

    return tfq.load_packed(path(name))
