"""A slip in the flags is one line that names the flag, before anything is loaded."""

import re
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from running import BACKEND, ROOT, slow_on, train

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
    "--model=resnet20 --bn_first": "--bn_first is for --model=nin; got --model=resnet20",
    "--model=nin --width=2": "--width is for --model=resnet20; got --model=nin",
    "--method=ternary --kmap --model=nin --depth=8": "--kmap is for --method=xnor; got --method=ternary; --depth is for --model",
    "--depth=21": "--depth=21 must be 6 n + 2 with n >= 1 (8, 14, 20, ...)",
    "--method=float --nolatent": "--nolatent is for --method=xnor or ternary or ternary_a1 or dorefa; got --method=float",
    "--nolatent --backend=tf_keras": "--nolatent needs Keras 3",
    "--ewgs_delta=0": "--ewgs_delta is for --method=ewgs; got --method=xnor",
    "--method=ewgs --w_bits=2 --a_bits=2 --ewgs_delta=-1": "--ewgs_delta=-1.0 must be 0 or more",
    "--width=0": "--width=0 must be 1 or more",
    "--bn_momentum=1": "--bn_momentum=1.0 must be from 0 to below 1",
    "--epochs=0": "--epochs",
    "--lr=0": "error: --lr=0.0 must be above 0",
    "--lr=nan": "error: --lr=nan must be above 0",
    "--weight_decay=-1": "--weight_decay",
    "--schedule=step --milestones=5,x": "--milestones",
    "--dataset=npz": "--dataset=npz needs --data_dir=FILE.npz",
    "--dataset=folder": "--dataset=folder needs --data_dir=DIR",
    "--image_size=8": "--image_size is for --dataset=folder; got --dataset=cifar10",
    "--dataset=folder --data_dir=. --image_size=8x": "--image_size=8x must be HEIGHTxWIDTH",
    "--export=gguf": "--export=gguf",
    "--method=int8 --export=tflite,tfq": "--export=tfq is not for --method=int8",
    "--method=ternary_a1 --export=lce": "--export=lce needs --method=xnor",
    "--init_from=nowhere": "--init_from=nowhere",
    "--init_skip=head": "--init_skip=head leaves out layers of --init_from, which is not given",
    "--teacher=nowhere": "--teacher=nowhere: there is no such file or directory",
    "--temperature=2": "--temperature=2.0 softens the scores of --teacher, which is not given",
    "--teacher=. --temperature=0": "--temperature=0.0 must be above 0 and finite",
    "--teacher=. --temperature=inf": "--temperature=inf must be above 0 and finite",
    "--teacher_weight=0.5": "--teacher_weight=0.5 is the share of --teacher, which is not given",
    "--teacher=. --teacher_weight=1.5": "--teacher_weight=1.5 must be above 0 and at most 1",
    "--method=int8 --backend=jax": "--backend=jax",
    "--distribute=multiworker": "--distribute=data_parallel for several machines",
    "--distribute=data_parallel --backend=tensorflow": "there is mirrored on tensorflow, data_parallel on jax",
    "--synchronized_bn": "--synchronized_bn is for --distribute=mirrored, elsewhere it is so; got --distribute=none",
    "--flagfile=nowhere.cfg": "nowhere.cfg",
    "train": "train",
}


@pytest.fixture(autouse=True)
def _flags_as_they_were():
    """For the tests that come after, in the same process."""
    import train  # noqa: F401  it defines them

    with flagsaver.flagsaver():
        yield


@pytest.mark.keras3_only
@slow_on("jax")
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


def test_flags_that_are_evaluated_with_a_run_are_checked_with_those_of_the_run(tmp_path):
    """Not before: the method needs bits, and the data set its file, which only the run says."""
    import train
    from tfq.training.run_directory import RunDirectory

    images = tmp_path / "images.npz"
    images.touch()
    RunDirectory(tmp_path).write_flags({"method": "dorefa", "w_bits": "2", "a_bits": "4", "data_dir": str(images)})
    train.FLAGS.unparse_flags()
    train.parse(["train.py", "--evaluate", "--method=dorefa", "--dataset=npz", f"--run_dir={tmp_path}"])
    assert train.config().network == {"w_bits": 2, "a_bits": 4, "kmap": False, "latent": True}


def test_a_network_from_outside_has_its_flags_in_train_py():
    """In a process of its own, as a user's program: flags are defined when train.py is imported. No Keras is."""
    code = (
        "import sys, models\n"
        "size = models.Option('size', int, 'Layers. Default: 2.', 'must be 1 or more', lambda size: size >= 1)\n"
        "models.register_network(models.Network('mine', 'mine:build', (size,), counts_relu=True))\n"
        "import train\n"
        "train.parse(sys.argv)\n"
        "config = train.config()\n"
        "print(config.model, config.network, config.count_relu, 'keras' in sys.modules)\n"
    )

    def said(*given):
        return subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True, check=False)

    given = "{'kmap': False, 'latent': True, 'size': 3}"
    assert said("--model=mine", "--size=3").stdout == f"mine {given} True False\n", said("--model=mine", "--size=3").stderr
    for slip, line in (
        (["--model=mine", "--size=0"], "--size=0 must be 1 or more"),
        (["--size=3"], "--size is for --model=mine; got --model=resnet20"),
        (["--model=mine", "--depth=8"], "--depth is for --model=resnet20; got --model=mine"),
    ):
        assert said(*slip).stderr == f"train.py: error: {line}\n"
