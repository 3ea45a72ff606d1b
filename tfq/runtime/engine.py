"""Runs a network on images, from any number of threads at once."""

import math
import os
import time
from collections import deque
from itertools import pairwise

import numpy as np

from tfq.graph import nodes as g
from tfq.runtime import tickets
from tfq.runtime.arrays import Array, Memory
from tfq.runtime.inputs import checked_images, checked_output, checked_threads
from tfq.runtime.kernels import kernels
from tfq.runtime.program.build import build
from tfq.runtime.program.memory import aligned
from tfq.runtime.program.steps import NOWHERE
from tfq.runtime.team import Team
from tfq.runtime.tickets import ALONE, LEADER

# Least `Program.work` of an image that threads share, about a tenth of a millisecond.
SHARED_WORK = 200_000
_NOBODY = Array(tickets.state(1))
_NO_PIXELS = np.zeros((0, 256), np.float32)


class Engine:
    """A network, ready to run: it works on one image at a time, whose tensors stay in the processor's cache.

    Compiled code is shared by all networks, and kept on disk: the first engine on a machine takes seconds to start, and one that
    has other kinds of steps some tenths of a second.

    Args:
        graph: `tfq.graph.nodes.Graph`.
        threads: threads that share the images of a batch. Of fewer images than threads, each is shared by all of them if it takes
            about a tenth of a millisecond or more, and no other call does the same; smaller ones use a thread each.

    Raises:
        ValueError: the operations do not fit together, `threads` is not a positive integer, or the environment variable TFQ_ISA
            names a set of instructions that this processor cannot run.
    """

    def __init__(self, graph: g.Graph, threads: int = 1) -> None:
        self.graph = graph
        self.threads = checked_threads(threads)
        self._kernels = kernels()
        self._program = build(graph, self.threads, self._kernels.tile)
        self._kernels.prepare(self._program.routines)
        self._pixels = Array(_NO_PIXELS if graph.pixel_mean is None else _decoder(graph))
        self._values, self._results = math.prod(graph.input_shape), math.prod(graph.output_shape)
        self._idle = deque()
        self._teams = {}

    def predict(self, images: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Results for a batch of images.

        Args:
            images: (n, height, width, channels) or (n, features) as the network takes them, any n; float32, or uint8 pixels
                where the network holds the mean and deviation of its training images.
            out: float32 (n, ...), contiguous, for the results; without it each call makes an array of its own.

        Returns:
            float32 (n, ...), which is `out` where it is given. NaN in an image may vanish on the way: quantizers, ReLU and
            hard_tanh make numbers of it.

        Raises:
            ValueError: the shape or the type is another, or `out` is not as it must be.
        """
        images = self._checked(images)
        shape = (len(images), *self.graph.output_shape)
        if out is None:
            out = np.empty(shape, np.float32)
        elif np.may_share_memory(checked_output(shape, out), images):
            images = images.copy()
        self._predict(images, out.reshape(len(images), self._results))
        return out

    def _predict(self, images, outputs):
        if self.threads == 1 or not len(images):
            self._run(images, outputs)
            return
        team = self._team()
        if len(images) < self.threads and self._program.work >= SHARED_WORK and team.together.acquire(blocking=False):
            try:
                self._run_together(team, images, outputs)
            finally:
                team.together.release()
        else:
            self._run_apart(team, images, outputs)

    def layers(self) -> list[tuple[str, str]]:
        """(name, path) of each convolution and product: on which numbers, and by which means, it is computed."""
        return list(self._program.paths)

    def warm_up(self) -> float:
        """Seconds that the code of all engines so far took this process to compile, or to load from disk."""
        return self._kernels.seconds

    def profile(self, images: np.ndarray, repeats: int = 20) -> list[tuple[str, str, float]]:
        """Time of each step: (name of the operation, path, seconds an image), the best of `repeats` rounds over the images.

        Raises:
            ValueError: images are not as the network takes them, or there are none, or no rounds.
        """
        images = self._checked(images)
        if not len(images) or repeats < 1:
            raise ValueError(f"a profile needs an image and a round at least; got {len(images)} images, repeats={repeats}")
        outputs = np.empty((1, self._results), np.float32)
        memory = self._memory()
        rows = memory.rows.array
        # Afterwards the last step alone, which is told of no outputs, writes to these again.
        self._execute(memory.rows, memory, images[:1], outputs[: len(images)])
        nothing = np.inf
        best = np.full(len(rows), np.inf)
        for _ in range(repeats):
            total = np.zeros(len(rows))
            for image in images:
                self._execute(Array(rows[:0]), memory, image[None], outputs[:, :0])
                # Without an image to copy, a step finds in memory what the one before left there.
                given = image[None] if self._program.source == NOWHERE else outputs[:1, :0]
                total += [self._time(Array(rows[i : i + 1]), memory, given, outputs[:, :0]) for i in range(len(rows))]
                nothing = min(nothing, self._time(Array(rows[:0]), memory, given, outputs[:, :0]))
            best = np.minimum(best, total / len(images))
        self._idle.append(memory)
        seconds = np.maximum(best - nothing, 0.0)
        return [(*label, float(time)) for label, time in zip(self._program.labels, seconds, strict=True)]

    def _time(self, rows, memory, images, outputs):
        begin = time.perf_counter()
        self._execute(rows, memory, images, outputs)
        return time.perf_counter() - begin

    def _team(self):
        process = os.getpid()
        if process not in self._teams:
            self._teams.setdefault(process, Team(self.threads))
        return self._teams[process]

    def _run_apart(self, team, images, outputs):
        """A part of the images for each thread."""
        bounds = np.linspace(0, len(images), min(self.threads, len(images)) + 1).astype(int)
        parts = [slice(*pair) for pair in pairwise(bounds)]
        others = [team.apart(self._run, images[part], outputs[part]) for part in parts[1:]]
        self._run(images[parts[0]], outputs[parts[0]])
        for other in others:
            other.result()

    def _run_together(self, team, images, outputs):
        """All threads on one image after another. Nobody is waited for: who comes too late finds nothing to do."""
        if team.memory is None:
            team.memory = self._memory()
        rows = team.memory.rows
        nothing = np.empty((0, self._values), np.float32), np.empty((0, self._results), np.float32)
        team.call(self._execute, rows, team.memory, *nothing)
        self._execute(rows, team.memory, images, outputs, team.shared, LEADER)

    def _run(self, images, outputs):
        memory = self._memory()
        self._execute(memory.rows, memory, images, outputs)
        self._idle.append(memory)

    def _execute(self, rows, memory, images, outputs, state=_NOBODY, worker=ALONE):
        self._kernels.run(self._program, rows, memory, images, self._pixels, outputs, state, worker)

    def _memory(self):
        """Of the working memory, and of rows, there are as many as calls at a time."""
        try:
            return self._idle.pop()
        except IndexError:
            program = self._program
            return Memory(program.constants, aligned(program.memory), Array(program.rows.copy()))

    def _checked(self, images):
        images = checked_images(self.graph, images)
        if not images.flags.carray:
            # `address` takes what is contiguous and may be written.
            images = np.require(images, requirements=["C", "A", "W"])
        return images.reshape(len(images), self._values)


def _decoder(graph):
    """float32 value of each pixel, (channels, 256): (x / 255 - mean) / std."""
    pixels = np.arange(256, dtype=np.float32) / np.float32(255)
    mean, std = (np.reshape(values, (-1, 1)).astype(np.float32) for values in (graph.pixel_mean, graph.pixel_std))
    return np.ascontiguousarray((pixels - mean) / std)
