"""The networks of results/ as ONNX: what onnxruntime makes of images is what tfq.runtime does."""

from pathlib import Path

import numpy as np
import pytest

from tfq import onnx as tfq_onnx
from tfq import runtime
from tfq.graph import file
from tfq.onnx import run

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = sorted(ROOT.glob("results/sweep/full/networks/*.tfq"))


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["onnx", "qonnx"])
def test_onnxruntime_computes_what_the_runtime_does(path, form):
    graph = file.read(path)
    pixels = np.load(ROOT / "tests" / "data" / "cifar10_slice.npz")["x_test"][:32]
    images = ((pixels / 255 - graph.pixel_mean) / graph.pixel_std).astype(np.float32)
    if form == "onnx":
        results = run.predictor(tfq_onnx.plain(graph))(images)
    else:
        results = run.qonnx_predictor(tfq_onnx.qonnx(graph))(images)
    wanted = runtime.load(path).predict(images)
    difference = np.abs(results - wanted).max(axis=1) / np.abs(wanted).max()
    # A value within a rounding of a boundary of its quantizer moves by a step.
    assert np.median(difference) < 1e-5
    assert np.mean(difference > 1e-4) <= 1 / 16
