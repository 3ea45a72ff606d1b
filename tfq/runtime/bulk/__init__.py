"""A packed network on millions of images: in several processes, part by part, and what was killed goes on.

for done, total in tfq.runtime.bulk.run(tfq.runtime.bulk.Job("model.tfq", "FOLDER", "results"), processes=2):
    print(done, "of", total)
"""

from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool

from tfq.runtime.bulk import together
from tfq.runtime.bulk.job import Job, Part, ResumeError, pending, writing
from tfq.runtime.bulk.part import run_part, without_result

__all__ = ["Job", "Part", "ResumeError", "pending", "run", "run_part", "without_result", "writing"]


def run(job: Job, processes: int = 1) -> Generator[tuple[int, int], None, int]:
    """Do the parts of a job that are not done yet, and yield (images done, images in all) at the start and after each part.

    Each part becomes a file of `job.out` of its own, whole or not at all. The same job again goes on where it was killed. What
    is returned at the end is how many images have a reason in place of a result: those of the parts that the run began with.

    Args:
        job: the `Job`.
        processes: how many work at once, this one among them; each has an engine of `job.threads` threads. The others are
            spawned, so a script that calls this has to do so under `if __name__ == "__main__"`.

    Raises:
        ResumeError: `job.out` holds results of another job, or another process is writing to it.
        ValueError: there is nothing to run on, or the network does not take it.
        RuntimeError: a process was killed, as one is that takes too much memory. What is done stays.
    """
    with writing(job) as parts:
        yield from _run(job, parts, processes)
        return without_result(job, parts)


def _run(job, parts, processes):
    total = sum(part.count for part in parts)
    left = pending(job, parts)
    done = total - sum(part.count for part in left)
    yield done, total
    try:
        for images in together.counts(job, left, processes):
            done += images
            yield done, total
    except BrokenProcessPool as error:
        reached = f"{done:,} of {total:,} images are done"
        raise RuntimeError(f"a process was killed; {reached}, and the same command goes on") from error
