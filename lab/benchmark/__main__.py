"""`python -m lab.benchmark WHAT`: the benchmarks by name."""

import importlib
import sys

from tfq import backends

# Name of each benchmark and what it compares; its module has the same name and a `main(arguments)`.
_BENCHMARKS = {
    "train": "training throughput of resnet20: tfq, stock Keras, larq",
    "layers": "a training step of single layers: tfq, larq, HGQ2 or qkeras-v3, against stock Keras",
    "memory": "memory of a training step of XNOR resnet20: operands of the backward pass kept as floats, and as bits",
    "feed": "training throughput on JAX: batches made by the host, and on the device",
    "distribute": "training throughput on JAX: one process on two cores, and two with a core each",
    "concurrency": "one packed network called from many threads at once: results, memory",
    "conv": "a single binary convolution at several shapes: tfq, larq-compute-engine, TFLite, Keras, popcount limit",
    "depthwise": "a depthwise convolution of tfq in one step, and in one step a channel",
    "builds": "two builds of the runtime, such as an earlier revision and this checkout",
    "start": "from the start of a process to its first result: two builds of the runtime",
    "c": "the C of a network: tfq, BakeNN int8, emx-onnx-cgen float, and the runtime",
    "infer": "latency and throughput of a network: tfq, larq-compute-engine, TFLite, Keras",
}


def main():
    """Run the benchmark that the command line names."""
    if len(sys.argv) < 2 or sys.argv[1] not in _BENCHMARKS:
        known = "\n".join(f"  {name:<12} {what}" for name, what in _BENCHMARKS.items())
        print(f"usage: python -m lab.benchmark WHAT [--help]\n{known}", file=sys.stderr)
        return 2
    backends.choose()
    try:
        return importlib.import_module(f"lab.benchmark.{sys.argv[1]}").main(sys.argv[2:])
    except OSError as error:  # such as a full disk, when the figures are written
        print(f"python -m lab.benchmark {sys.argv[1]}: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
