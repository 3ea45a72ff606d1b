"""One build of the runtime, for `lab.benchmark.builds`: run as text in a checkout, so that `tfq` is what lies there.

The first line on standard input is a JSON list: file of the network, file of the images, and threads. The answer says where `tfq`
lies, and the results. Each line after it is a number of calls; the answer is the seconds of each. Of the runtime it knows only
`load` and `predict`, which earlier builds had too.
"""

import json
import sys
import time

import numpy as np


def main():
    """Answer each line."""
    path, images, threads = json.loads(sys.stdin.readline())
    import tfq.runtime

    images = np.load(images)
    engine = tfq.runtime.load(path, threads)
    _answer({"tfq": tfq.__file__, "results": engine.predict(images).tolist()})
    for line in sys.stdin:
        _answer([_seconds(engine, images[:1]) for _ in range(int(line))])


def _answer(value):
    print(json.dumps(value), flush=True)


def _seconds(engine, images):
    begin = time.perf_counter()
    engine.predict(images)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
