"""`python -m lab.streaming`: memory of a run on images that do not fit it, beside the same run on few.

Makes shards of `--gib` in `--folder`, trains a small network for an epoch on them and on 200 MiB of them, and writes the most
anonymous memory (RssAnon) of both processes. The first start, which reads all images once, is a process of its own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from tfq import files
from tfq.data import shards

_SHAPE = (128, 128, 3)
_BYTES = int(np.prod(_SHAPE))
_A_SHARD = 2**29 // _BYTES
_SMALL = 200 / 1024  # GiB


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.streaming", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--gib", type=float, default=20.0, help="of images (default %(default)s)")
    parser.add_argument("--folder", type=Path, required=True, help="for the images, which stay there")
    parser.add_argument("--json", type=Path, default=Path("results/streaming.json"), help="default: %(default)s")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--one", choices=("load", "fit"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(_measured(options)))
        return 0
    rows = [_process(gib, what, options) for gib in (_SMALL, options.gib) for what in ("load", "fit")]
    more = {what: rows[index + 2]["rss_anon_mib"] - rows[index]["rss_anon_mib"] for index, what in enumerate(("load", "fit"))}
    files.write_text(options.json, json.dumps({"rows": rows, "more_mib": more}, indent=1) + "\n")
    print(more)
    return 0


def make(folder, gib):
    """Shards of noise, where they are not there yet; the disk is asked first."""
    total = int(gib * 2**30) // _BYTES
    target = folder / f"{total}"
    if target.is_dir():
        return target
    beside = folder / f".writing-{total}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    shards.check_disk(beside, total * _BYTES)
    rng = np.random.default_rng(0)
    for number, first in enumerate(range(0, total, _A_SHARD)):
        count = min(_A_SHARD, total - first)
        np.save(
            beside / f"x_train-{number:04}.npy",
            rng.integers(0, 2**63, count * _BYTES // 8).view(np.uint8).reshape(count, *_SHAPE),
        )
    np.save(beside / "y_train.npy", np.arange(total) % 10)
    np.save(beside / "x_test.npy", rng.integers(0, 256, (64, *_SHAPE), dtype=np.uint8))
    np.save(beside / "y_test.npy", np.arange(64) % 10)
    beside.rename(target)
    return target


def _process(gib, what, options):
    folder = make(options.folder, gib)
    command = ["-m", "lab.streaming", f"--gib={gib}", f"--folder={folder}", f"--batch_size={options.batch_size}", f"--one={what}"]
    environment = {**os.environ, "TFQ_CACHE": str(options.folder / "cache")}
    result = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True, env=environment)
    row = {"gib": round(gib, 3), "what": what, **json.loads(result.stdout.splitlines()[-1])}
    print(row, flush=True)
    return row


def _measured(options):
    """The most RssAnon of this process, looked at every tenth of a second, while it loads, and fits."""
    most, is_over = [0], threading.Event()

    def look():
        while not is_over.wait(0.1):
            lines = Path("/proc/self/status").read_text().splitlines()
            most[0] = max(most[0], next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    begin = time.monotonic()
    images = _run(options)
    is_over.set()
    thread.join()
    return {"images": images, "seconds": round(time.monotonic() - begin, 1), "rss_anon_mib": round(most[0] / 1024)}


def _run(options):
    from tfq import callbacks, data
    from tfq.backend.keras import keras

    found = data.load("shards", options.folder, lambda line: None)
    if options.one == "load":
        return len(found.x_train)
    common = {"crop": True, "flip": True, "shuffle": True}
    batches = data.batches_of(found.x_train, found.y_train, options.batch_size, found.mean, found.std, **common)
    tested = data.batches_of(found.x_test, found.y_test, options.batch_size, found.mean, found.std)
    layers = keras.layers
    model = keras.Sequential([keras.Input(_SHAPE), layers.AveragePooling2D(16), layers.Flatten(), layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with data.feeding(model, batches, tested) as fed:
        model.fit(fed.images, validation_data=fed.val_images, shuffle=False, verbose=0, callbacks=[callbacks.DataEpoch(batches)])
    return batches.num_images


if __name__ == "__main__":
    sys.exit(main())
