"""A slip in the flags is one line that names the flag, before anything is loaded."""

import re
import subprocess
import sys

import pytest
from running import BACKEND, train

SLIPS = {
    "--method=nonsense": "--method",
    "--nonsense=1": "nonsense",
    "--method=dorefa": "w_bits",
    "--method=dorefa --w_bits=17 --a_bits=2": "--w_bits=17",
    "--method=dorefa --w_bits=2 --a_bits=0": "--a_bits=0",
    "--method=dorefa --w_bits=2 --a_bits=2 --g_bits=33": "--g_bits=33",
    "--method=dorefa --w_bits=two --a_bits=2": "--w_bits",
    "--method=xnor --w_bits=2": "--w_bits=2",
    "--method=float --a_bits=1": "--a_bits=1",
    "--method=ternary --a_bits=4": "--a_bits=4",
    "--method=ternary --kmap": "--kmap",
    "--model=resnet20 --bn_first": "--bn_first",
    "--model=nin --width=2": "--width",
    "--depth=21": "--depth=21",
    "--method=float --nolatent": "--nolatent is for low-bit methods; got --method=float",
    "--nolatent --backend=tf_keras": "--nolatent needs Keras 3",
    "--width=0": "--width=0",
    "--bn_momentum=1": "--bn_momentum=1.0 must be from 0 to below 1",
    "--epochs=0": "--epochs",
    "--lr=0": "--lr",
    "--lr=nan": "--lr",
    "--weight_decay=-1": "--weight_decay",
    "--schedule=step --milestones=5,x": "--milestones",
    "--dataset=npz": "--dataset=npz needs --data_dir=FILE.npz",
    "--dataset=folder": "--dataset=folder needs --data_dir=DIR",
    "--image_size=8": "--image_size is for --dataset=folder; got --dataset=cifar10",
    "--dataset=folder --data_dir=. --image_size=8x": "--image_size=8x must be HEIGHTxWIDTH",
    "--export=onnx": "--export=onnx",
    "--method=int8 --export=tflite,tfq": "--export=tfq is not for --method=int8",
    "--method=ternary_a1 --export=lce": "--export=lce needs --method=xnor",
    "--init_from=nowhere": "--init_from=nowhere",
    "--init_skip=head": "--init_skip=head leaves out layers of --init_from, which is not given",
    "--method=int8 --backend=jax": "--backend=jax",
    "--flagfile=nowhere.cfg": "nowhere.cfg",
    "train": "train",
}


@pytest.mark.keras3_only
@pytest.mark.parametrize("flags", SLIPS)
def test_a_slip_is_one_line(flags, tmp_path):
    given = flags.split()
    default = [] if "--backend" in flags else [f"--backend={BACKEND}"]
    result = train(*given, *default, f"--run_dir={tmp_path / 'run'}")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("train.py: error: ")
    assert SLIPS[flags] in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.keras3_only
def test_flags_are_read_without_keras():
    code = "import sys, train; sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.keras3_only
def test_missing_backend_says_what_to_install(tmp_path):
    missing = "tensorflow" if BACKEND == "jax" else "jax"
    result = train(f"--backend={missing}", f"--run_dir={tmp_path / 'run'}")
    assert result.returncode == 2
    assert result.stderr == (
        f"train.py: error: --backend={missing} needs `{missing}`, which is not installed: pip install 'tfq[{missing}]'\n"
    )


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("flags", "absent", "message"),
    [
        ("--method=int8", {"tensorflow_model_optimization", "tf_keras"}, "--method=int8 needs `tensorflow_model_optimization`, "),
        (
            "--backend=tf_keras",
            {"tf_keras"},
            "--backend=tf_keras needs `tf_keras`, which is not installed: pip install 'tfq[tf_keras]'",
        ),
        ("--backend=torch", {"torch"}, "--backend=torch needs `torch`, which is not installed: pip install 'tfq[torch]'"),
    ],
)
def test_what_is_missing_is_named_with_the_extra_that_brings_it(flags, absent, message, monkeypatch, capsys):
    import train as program

    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: None if name in absent else name)
    program.FLAGS.unparse_flags()
    program.parse(["train.py", *flags.split()])
    with pytest.raises(program.UsageError, match="^" + re.escape(message)):
        program.choose_backend()


def test_a_run_that_was_stopped_may_go_on(tmp_path):
    """The flag that stops it is free to change; one that changes what is trained is not."""
    import train
    from tfq.training.run_directory import RunDirectory

    def claim(*given):
        train.FLAGS.unparse_flags()
        train.FLAGS(["train.py", f"--run_dir={tmp_path}", *given])
        directory = RunDirectory(tmp_path)
        train.claim(directory, "tensorflow")
        directory.begin({})

    claim()
    (tmp_path / "history.csv").write_text("epoch\n0\n")  # without an epoch it is no run yet
    claim("--nostop_on_collapse")
    assert RunDirectory(tmp_path).read_flags()["stop_on_collapse"] == "false"
    with pytest.raises(train.UsageError, match="--kmap=true differs"):
        claim("--kmap")
