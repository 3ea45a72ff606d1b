"""Writes BakeNN's C of a TFLite file, for `lab.benchmark.c`: run by a Python that has `bakenn[tflite]`.

python c_bakenn.py FILE.tflite DIRECTORY
"""

import sys

import bakenn
from bakenn.frontends.tflite import import_tflite

if __name__ == "__main__":
    bakenn.compile(import_tflite(sys.argv[1], "twin"), sys.argv[2], model_name="twin")
