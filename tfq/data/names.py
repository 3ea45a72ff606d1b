"""Names of classes: those of the data sets that have known ones, and the user's."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfq.data.errors import DataError
from tfq.graph.codec import MAX_NAME
from tfq.runtime import labels

_DIGITS = tuple("0123456789")
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
    maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
    snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
    tulip turtle wardrobe whale willow_tree wolf woman worm
"""

# By data set, in the order of its labels.
KNOWN = {
    "cifar10": tuple(_CIFAR10.split()),
    "cifar100": tuple(_CIFAR100.split()),
    "digits": _DIGITS,
    "mnist": _DIGITS,
}


def read(text: str) -> tuple[str, ...]:
    """The names that `--labels` gives: of a file with one a line, or with commas between.

    Raises:
        DataError: it is neither, or holds what can be no name.
    """
    if _is_file(text):
        return of_file(Path(text))
    if "," not in text:
        raise DataError(f"--labels={text} is neither a file with a name a line nor names with commas between")
    return check([name.strip() for name in text.split(",")], "--labels")


def of_file(path: Path) -> tuple[str, ...]:
    """The names in a file, one a line; raises DataError."""
    try:
        return check(labels.read(path), path)
    except DataError:
        raise
    except (ValueError, OSError) as error:
        raise DataError(str(error)) from error


def of_array(path: Path, given: np.ndarray | None) -> tuple[str, ...]:
    """The names in the array `labels` of an .npz file; none where there is no such array.

    Raises:
        DataError: it is no list of texts, or holds what can be no name.
    """
    if given is None:
        return ()
    if given.ndim != 1 or given.dtype.kind not in "SU":
        raise DataError(f"{path}: labels must be the names of the classes, texts (classes,); got {given.dtype} {given.shape}")
    try:
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in given]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: labels must be text in UTF-8: {error.reason}") from error
    return check(texts, f"{path}: labels")


def _is_file(text):
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # many names are too long for that of a file
        return False


def check(names: Iterable[str], source: object) -> tuple[str, ...]:
    """The names as a tuple of texts.

    Raises:
        DataError: one of them is empty, longer than a packed file takes, or no single line; the message shows it.
    """
    for index, name in enumerate(names):
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            shown = repr(name) if len(name) < 60 else f"{name[:56]!r}..."
            raise DataError(f"{source}: the name of class {index} must be a line of 1 to {MAX_NAME} characters; got {shown}")
    return tuple(map(str, names))
