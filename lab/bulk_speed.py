"""`python -m lab.bulk_speed`: images a second of bulk inference, by one process and by two, in turns."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

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
    with tempfile.TemporaryDirectory() as folder:
        images = np.random.default_rng(0).integers(0, 256, (options.images, *engine.graph.input_shape), dtype=np.uint8)
        np.save(Path(folder) / "images.npy", images)
        for turn in range(options.turns):
            for processes in (1, 2):
                job = bulk.Job(model, Path(folder) / "images.npy", Path(folder) / f"{turn}-{processes}", images_a_part=500)
                begin = time.perf_counter()
                for _ in bulk.run(job, processes):
                    pass
                made["seconds"][processes].append(round(time.perf_counter() - begin, 3))
    made["ratio"] = round(min(made["seconds"][1]) / min(made["seconds"][2]), 3)
    if options.json:
        files.write_text(options.json, json.dumps(made, indent=1) + "\n")
    print(json.dumps(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
