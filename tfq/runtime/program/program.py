"""A program, ready to run."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfq.runtime.program import routines
from tfq.runtime.program.steps import (
    NOWHERE,
    NUMBERS_OF_A_COLUMN,
    STEPS,
    WINDOWS_OF_A_COLUMN,
    WINOGRAD_FOUR,
    WINOGRAD_SQUARE,
    Convolve,
    Step,
    code,
)

# Operations of a window a word, of convolutions in fours and in squares.
_OF_A_WORD = {WINOGRAD_FOUR: 4.5, WINOGRAD_SQUARE: 2.25}


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
        target: where the output is; NOWHERE if the last step writes it where the caller wants it (see `target_field`).
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
    def routines(self) -> tuple[str, ...]:
        """Names of the `routines` that its steps call."""
        codes = set(self.rows[:, 0].tolist()) - {code(Convolve)}
        convolutions = self.steps(Convolve).view(np.recarray)
        kinds, results = set(convolutions["kind"].tolist()), set(map(routines.results, convolutions))
        chosen = (routines.OF_STEPS, codes), (routines.OF_SUMS, kinds), (routines.OF_RESULTS, results)
        return tuple(group.names[number] for group, numbers in chosen for number in sorted(numbers))

    @cached_property
    def target_field(self) -> int:
        """Which number of the last row is where results go, another for each image; NOWHERE if they are copied from `target`."""
        if self.target != NOWHERE:
            return NOWHERE
        names = STEPS[self.rows[-1, 0]].dtype().names or ()
        return names.index("target")

    @cached_property
    def work(self) -> int:
        """Operations on vectors of 16 that the convolutions and products of one image take: windows times words times vectors."""
        steps = self.steps(Convolve)
        # On tiles four windows take 16 of them a word, in fours 18, and in squares sixteen windows 36 of words half as large.
        operations = np.select(
            [steps["columns"] > 0, *(steps["kind"] == kind for kind in _OF_A_WORD)], [4, *_OF_A_WORD.values()], 1
        )
        operations = operations * steps["words"]
        # Along columns they are as many as there are combined rows.
        along_columns = NUMBERS_OF_A_COLUMN // WINDOWS_OF_A_COLUMN * steps["line_words"]
        operations = np.where(steps["block"] > 0, along_columns, operations)
        return int(np.sum(steps["height"] * steps["width"] * steps["vectors"] * operations))
