"""What editors and type checkers see of tfq: every public signature says its types, and mypy refuses a wrong call."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

# Parts of the engine, which nobody calls from outside.
INTERNAL = ("tfq/runtime/compiled/", "tfq/runtime/plan/", "tfq/runtime/program/")
FILES = [file for file in sorted(ROOT.glob("tfq/**/*.py")) if not file.relative_to(ROOT).as_posix().startswith(INTERNAL)]
USE = """
import numpy as np
import tfq

images = np.zeros((16, 32, 32, 3), np.float32)
reports = tfq.export_model("runs/1", "out", formats=("tfq",), images=images)
print(reports[0].agreement.top1_agreement, reports[0].by_layer())
logits = tfq.runtime.load("model.tfq", threads=2).predict(images)
print(logits.argmax(axis=-1), tfq.load_packed("model.tfq"))
layer = tfq.layers.QuantConv2D(8, 3, strides=2, kernel_quantizer=tfq.quantizers.XnorWeights(), kmap=True)
print(tfq.data.load("digits").labels, tfq.quantizers.get("xnor_weights"), layer.name)

tfq.export_model("runs/1")  # refused
tfq.exprt_model("runs/1", "out")  # refused
tfq.load_packed(3)  # refused
tfq.runtime.load("model.tfq", threads="two")  # refused
tfq.runtime.load("model.tfq").predict("images")  # refused
reports[0].accurcy  # refused
tfq.layers.QuantConv2D(8, 3, kmap="yes")  # refused
tfq.layers.QuantDense(8, kernel_quantizer=2)  # refused
tfq.quantizers.DoReFaInputs("two")  # refused
"""


def untyped(body, prefix=""):
    """Names of the public functions and methods without the type of an argument, or of the result."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from untyped(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from untyped([*node.body, *getattr(node, "orelse", ())], prefix)
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name in ("__init__", "__call__")):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            is_bound = prefix and "staticmethod" not in map(ast.unparse, node.decorator_list)
            typed = [argument.annotation for argument in arguments[1 if is_bound else 0 :] if argument is not None]
            if None in typed or node.returns is None:
                yield f"{prefix}{node.name}"


def test_all_that_is_public_says_its_types():
    found = [f"{file.relative_to(ROOT)}: {name}" for file in FILES for name in untyped(ast.parse(file.read_text()).body)]
    assert found == []


def test_an_untyped_function_is_found():
    program = "class A:\n    def b(self, c: int): ...\n    def _d(self): ...\ndef e(f) -> None: ...\ndef g(h: int) -> int: ..."
    assert list(untyped(ast.parse(program).body)) == ["A.b", "e"]


def test_mypy_takes_right_calls_and_refuses_wrong_ones(tmp_path):
    pytest.importorskip("mypy")
    file = tmp_path / "use.py"
    file.write_text(USE)
    # A cache of its own: that of another run names the file of that run.
    command = [sys.executable, "-m", "mypy", "--no-error-summary", f"--cache-dir={tmp_path / 'cache'}", str(file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    errors = [line.split(":")[:2] for line in result.stdout.splitlines() if ": error:" in line]
    expected = [(str(file), number) for number, line in enumerate(USE.splitlines(), 1) if line.endswith("# refused")]
    assert sorted({(name, int(number)) for name, number in errors}) == expected, result.stdout + result.stderr
