"""What several engines take, measured in turns, so that what disturbs the machine disturbs all of them."""

from collections.abc import Callable, Mapping

from tfq.speed.worker import Worker


def in_turns(
    workers: Mapping[str, Worker], calls: Mapping[int, int], repetitions: int, done: Callable[[int], None] = lambda count: None
) -> dict[tuple[str, int], list[float]]:
    """Milliseconds of the calls of each worker.

    Args:
        workers: of a `tfq.speed.subject.Subject` each, which has a file.
        calls: {images a call: number of calls in a turn}.
        repetitions: turns of each.
        done: is told after each part that one more of `repetitions * len(workers) * len(calls)` is done.

    Returns:
        {(name of the worker, images a call): list of milliseconds}.
    """
    times: dict[tuple[str, int], list[float]] = {(name, batch): [] for name in workers for batch in calls}
    for _ in range(repetitions):
        for name, worker in workers.items():
            for batch, count in calls.items():
                times[name, batch] += worker.call("time", batch, count)
                done(1)
    return times
