"""`python -m lab.bulk_speed`: images a second of bulk inference, by one process and by two, in turns.

The start of the second process counts. Of two cores two processes have what others leave them: the share of one core that these
take is written too.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tfq import files, runtime, zoo
from tfq.runtime import bulk
from tfq.runtime.warm_up import warm_up
from tfq.training import hardware


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.bulk_speed", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--network", default="resnet20_xnor_cifar10", help="of the zoo (default %(default)s)")
    parser.add_argument("--images", type=int, default=20_000, help="default %(default)s")
    parser.add_argument("--turns", type=int, default=2, help="default %(default)s")
    parser.add_argument("--json", type=Path, help="write the seconds here")
    options = parser.parse_args(arguments)
    model = zoo.path(options.network)
    engine = runtime.load(model)
    warm_up(engine)
    made = {"network": options.network, "images": options.images, "hardware": hardware.describe(()), "seconds": {1: [], 2: []}}
    made["others"] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        images = np.random.default_rng(0).integers(0, 256, (options.images, *engine.graph.input_shape), dtype=np.uint8)
        np.save(Path(folder) / "images.npy", images)
        os.sync()  # else the system writes them while the first jobs run
        for turn in range(options.turns):
            for processes in (1, 2):
                job = bulk.Job(model, Path(folder) / "images.npy", Path(folder) / f"{turn}-{processes}", images_a_part=1000)
                seconds, others = _timed(job, processes)
                made["seconds"][processes].append(round(seconds, 3))
                made["others"][processes].append(round(others / seconds, 3))
    made["ratio"] = round(min(made["seconds"][1]) / min(made["seconds"][2]), 3)
    if options.json:
        files.write_text(options.json, json.dumps(made, indent=1) + "\n")
    print(json.dumps(made))
    return 0


def _timed(job, processes):
    """Seconds that the job takes, and those that processors work meanwhile for other processes."""
    begin, others = time.perf_counter(), _busy_of_others()
    for _ in bulk.run(job, processes):
        pass
    return time.perf_counter() - begin, _busy_of_others() - others


def _busy_of_others():
    """Of children those count that have ended."""
    everybody = psutil.cpu_times()
    idle = everybody.idle + getattr(everybody, "iowait", 0.0)
    own = os.times()
    # The time of guests is within that of the user.
    busy = sum(everybody) - idle - getattr(everybody, "guest", 0.0) - getattr(everybody, "guest_nice", 0.0)
    return busy - own.user - own.system - own.children_user - own.children_system


if __name__ == "__main__":
    sys.exit(main())
