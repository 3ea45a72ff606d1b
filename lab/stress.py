"""Kills a run at random moments until it is done, and compares it with one that nobody disturbed: python -m lab.stress

Each round is one run on a slice of CIFAR-10, deterministic. A process is sent SIGKILL or SIGTERM after a random time and started
again, until it ends by itself. Every second round also damages the newest checkpoint once. The result is one JSON file, which a
later call goes on with.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

from tfq import files

ROOT = Path(__file__).resolve().parents[1]
_FLAGS = (
    *(
        "--dataset=npz",
        "--data_dir=tests/data/cifar10_slice.npz",
        "--depth=8",
        "--width=1",
        "--limit_train=512",
        "--batch_size=8",
    ),
    *("--epochs=4", "--deterministic", "--method=dorefa", "--w_bits=1", "--a_bits=2", "--g_bits=6", "--nostop_on_collapse"),
)
_PREEMPTED = 75
_LIMIT = 600  # seconds a process may take


def main(argv: list[str] | None = None) -> int:
    """Run the rounds that are missing; returns 1 where one has failed."""
    parser = argparse.ArgumentParser(prog="python -m lab.stress", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--json", type=Path, default=Path("results/stress.json"))
    parser.add_argument("--work", type=Path, default=Path("runs/stress"), help="where the runs are")
    args = parser.parse_args(argv)
    known = json.loads(args.json.read_text()) if args.json.exists() else {"rounds": []}
    whole = args.work / f"whole_{args.backend}"
    seconds = _undisturbed(whole, args.backend)
    for number in range(len(known["rounds"]), args.rounds):
        found = _round(number, args, whole, seconds)
        known["rounds"].append(found)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(args.json, json.dumps(known, indent=2) + "\n")
        print(found, flush=True)
    return 0 if all(each["is_equal"] for each in known["rounds"]) else 1


def _undisturbed(path, backend):
    started = time.monotonic()
    _start(path, backend, "--noresume").communicate(timeout=_LIMIT)
    return time.monotonic() - started


def _round(number, args, whole, seconds):
    chance = random.Random(args.seed * 1000 + number)
    path = args.work / f"round_{args.backend}_{number}"
    events, first, damage = [], "--noresume", number % 2 == 1
    while True:
        process = _start(path, args.backend, first)
        sent = chance.choice((signal.SIGKILL, signal.SIGTERM))
        try:
            # Half of the time of a whole run at most, else few would be hit before the end.
            output = process.communicate(timeout=chance.uniform(0.3, 1.0) * seconds)[0]
        except subprocess.TimeoutExpired:
            asked = time.monotonic()
            process.send_signal(sent)
            output = process.communicate(timeout=_LIMIT)[0]
            events.append({"sent": sent.name, "status": process.returncode, "seconds": round(time.monotonic() - asked, 2)})
        else:
            events.append({"sent": None, "status": process.returncode})
        if process.returncode == 0:
            break
        if process.returncode not in (_PREEMPTED, -signal.SIGKILL, -signal.SIGTERM):
            return {"round": number, "backend": args.backend, "events": events, "is_equal": False, "output": output[-2000:]}
        first = "--resume"
        if damage and (path / "last.keras").exists() and (path / "previous.keras").exists():
            events.append({"damaged": _damage(path / "last.keras", chance)})
            damage = False
    return {"round": number, "backend": args.backend, "events": events, "is_equal": _same(whole, path)}


def _start(path, backend, *flags):
    command = [sys.executable, "train.py", *_FLAGS, f"--run_dir={path.resolve()}", f"--backend={backend}", *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _damage(path, chance):
    content = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        path.write_bytes(content[: chance.randrange(len(content))])
        return "cut off"
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return "one bit"


def _same(one, other):
    arrays = [_arrays(path / "last.keras") for path in (one, other)]
    return arrays[0].keys() == arrays[1].keys() and all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])


def _arrays(path):
    import h5py

    found = {}
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member, h5py.File(member) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
    return found


if __name__ == "__main__":
    sys.exit(main())
