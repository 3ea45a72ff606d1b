"""`python -m lab.dask_inference MODEL.tfq IMAGES OUT`: bulk inference on the workers of Dask, here or on other machines.

Dask, as its wheels are of Python alone, and one line starts workers on this machine or finds those of a cluster. Ray is a service
of its own, in a wheel of each platform. Each worker calls the function that the processes of `tfq run --out` call, so a job
may begin with the one and go on with the other. All workers have to see the folders under the same names.
"""

import argparse
import sys

from tfq.arguments import thread_count
from tfq.runtime import bulk


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.dask_inference", description=__doc__.split(": ", 1)[1])
    parser.add_argument("model", metavar="MODEL.tfq")
    parser.add_argument("images", metavar="IMAGES", help="folder of image files, or of .npy files")
    parser.add_argument("out", metavar="OUT", help="folder of the tables")
    parser.add_argument("--workers", type=thread_count, default=2, help="processes on this machine (default 2)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a cluster, whose workers are taken instead")
    options = parser.parse_args(arguments)
    from distributed import Client, as_completed

    job = bulk.Job(options.model, options.images, options.out)
    with bulk.writing(job) as parts:
        left = bulk.pending(job, parts)
        total = sum(part.count for part in parts)
        done = total - sum(part.count for part in left)
        own = {"n_workers": options.workers, "threads_per_worker": 1, "dashboard_address": None}
        with Client(options.scheduler) if options.scheduler else Client(**own) as client:
            futures = [client.submit(bulk.run_part, job, part, pure=False) for part in left]
            for _, count in as_completed(futures, with_results=True):
                done += count
                print(f"{done:,} of {total:,} images", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
