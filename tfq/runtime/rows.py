"""Rows of results: the best classes of an image, or why there are none."""

from collections.abc import Sequence
from typing import Any

import numpy as np

KEYS = ("file", "rank", "index", "label", "score", "error")


def best(name: str, scores: np.ndarray, top: int, labels: Sequence[str | None]) -> list[dict[str, Any]]:
    """The rows of an image, one a class, the best first.

    Args:
        name: of the image.
        scores: of each class, (classes,).
        top: number of classes.
        labels: names of the classes, or None each.
    """
    order = np.argsort(-scores, kind="stable")[:top]
    return [
        row(name, rank=rank, index=int(index), label=labels[index], score=float(scores[index]))
        for rank, index in enumerate(order, start=1)
    ]


def row(name: str, **values: Any) -> dict[str, Any]:
    """A row of `KEYS`; what is not given is None."""
    return {**dict.fromkeys(KEYS), "file": name, **values}


def shown(name: str) -> str:
    """Name of a file as text that can be written: bytes of it that are no UTF-8 are spelt out."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def softmax(results: np.ndarray) -> np.ndarray:
    """Scores of the classes, float64 (n, classes), of the results of a network."""
    powers = np.exp(results.astype(np.float64) - results.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
