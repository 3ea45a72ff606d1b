"""A program, ready to run."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfq.runtime.program import routines
from tfq.runtime.program import steps as kinds
from tfq.runtime.program.steps import NOWHERE, STEPS, Convolve, Step, code

# Operations of a window a word. On tiles four windows take 16, in fours 18, along columns 8, and in squares sixteen windows 36 of
# words half as large.
_OF_A_WORD = {
    kinds.WINOGRAD: 4,
    kinds.WINOGRAD_BYTES: 4,
    kinds.WINOGRAD_FOUR: 4.5,
    kinds.WINOGRAD_SQUARE: 2.25,
    kinds.ALONG_COLUMNS: 2,
}


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
        words = np.where(steps["kind"] == kinds.ALONG_COLUMNS, steps["line_words"], steps["words"])
        operations = [_OF_A_WORD.get(kind, 1) for kind in steps["kind"].tolist()]
        return int(np.sum(steps["height"] * steps["width"] * steps["vectors"] * words * operations))
