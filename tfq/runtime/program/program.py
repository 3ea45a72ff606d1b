"""A program, ready to run."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfq.runtime.program.steps import NUMBERS_OF_A_COLUMN, WINDOWS_OF_A_COLUMN, Convolve, Step, code


@dataclass(frozen=True)
class Program:
    """What `compiled.run` needs, and what its steps are.

    Attributes:
        rows: int64 (steps, numbers of the longest step); see `steps`.
        labels: (name of the operation, path) of each step.
        paths: (name, path) of each convolution and product.
        constants: int32.
        memory: elements that one image needs.
        source: where the input goes; NOWHERE if steps read it where the caller has it.
        target: where the output is.
    """

    rows: np.ndarray
    labels: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, str], ...]
    constants: np.ndarray
    memory: int
    source: int
    target: int

    def steps(self, kind: type[Step]) -> np.ndarray:
        """All steps of a kind, as an array of records with the fields of the kind."""
        names = kind.dtype().names or ()
        rows = self.rows[self.rows[:, 0] == code(kind), : len(names)]
        return np.ascontiguousarray(rows).view(kind.dtype()).reshape(-1)

    @cached_property
    def work(self) -> int:
        """Operations on vectors of 16 that the convolutions and products of one image take: windows times words times vectors."""
        steps = self.steps(Convolve)
        # On tiles four windows take 16 of them a word, and along columns 8.
        of_a_word = np.where(steps["block"] > 0, NUMBERS_OF_A_COLUMN // WINDOWS_OF_A_COLUMN, np.where(steps["columns"] > 0, 4, 1))
        operations = of_a_word * steps["words"]
        return int(np.sum(steps["height"] * steps["width"] * steps["vectors"] * operations))
