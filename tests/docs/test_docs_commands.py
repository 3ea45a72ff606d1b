"""Every command of README, BUILD and docs: its program is there and takes its flags; it runs, or it is said here why it cannot.

`SHORT` and `CANNOT_RUN` name the commands as the pages write them. A command of the pages that neither names is an error, and so
is one that the pages no longer have.
"""

import argparse
import importlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import docs_pages as pages
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from running import ROOT

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

PYTHON = (".venv/bin/python", ".venv-jax/bin/python", ".venv-torch/bin/python", "python")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

_FEW = "--dataset=npz --data_dir=tests/data/cifar10_slice.npz --limit_train=64 --batch_size=32 --epochs=1"
_DATA = f"{_FEW} --holdout=0"
_NETWORK = "--depth=8 --width=1"
_XNOR, _FLOAT = "runs/cifar10_resnet20_xnor", "runs/cifar10_resnet20_float"
_HIGH = "runs/sweep/questions_holdout5000_high/resnet20_272k_dorefa_a4w4_sgd_0.1_seed0"
_SWEEP, _TRAIN = ".venv/bin/python -m lab.sweep", ".venv/bin/python train.py"
_SGD = f"{_SWEEP} --recipe=questions --holdout=5000 --rows=resnet20_272k/dorefa"
_ONE_BIT = (
    "--flagfile=configs/dorefa_a1w1.cfg --width=1 --optimizer=sgd --schedule=step --milestones=7 --lr=0.1 --epochs=10 "
    "--bfloat16 --diagnose --holdout=5000"
)

# What shortens a command: flags behind it (`--list` of a sweep stands before its `--`). They run in this order, since some need
# what others leave.
SHORT = {
    f"{_TRAIN} --flagfile=configs/xnor.cfg --epochs=3": f"{_DATA} {_NETWORK} --run_dir=runs/three",
    f"{_TRAIN} --flagfile=configs/xnor.cfg": f"{_DATA} {_NETWORK} --run_dir={_XNOR}",
    f"{_TRAIN} --evaluate --run_dir={_XNOR}": "",
    f"tfq export {_XNOR} --formats=tfq,tflite": "",
    f"tfq export {_XNOR} --formats=tfq,tflite,lce": "",
    f"tfq export {_XNOR} --formats=onnx,qonnx": "",
    f"tfq run {_XNOR}/export/model.tfq FOLDER --top=3 --resize": "",
    "tfq run model.tfq FOLDER --top=3 --resize": "",
    "tfq run model.tfq FOLDER --out=tables --processes=2": "--resize",
    "tfq export model.tfq --formats=c --out=firmware": "",
    "tfq export model.tfq --formats=c --flash=256K --ram=300K": "",
    "tfq export model.tfq --formats=c --layout=arduino --out=model": "",
    "tfq export model.tfq --formats=c --edges=int8": "",
    "tfq export model.tfq --formats=c --residual=int16": "",
    "tfq summary model.keras": "",
    "tfq benchmark model.tfq --against model.tflite": "--repetitions=1 --batch=2",
    f"{_TRAIN} --method=dorefa --w_bits=3 --a_bits=5 --g_bits=8": f"{_DATA} {_NETWORK} --run_dir=runs/bits",
    f"{_TRAIN} --flagfile=configs/float.cfg": f"{_DATA} {_NETWORK} --run_dir={_FLOAT}",
    f"{_TRAIN} --flagfile=configs/xnor.cfg --init_from={_FLOAT}": f"{_DATA} {_NETWORK} --run_dir=runs/second",
    f"{_TRAIN} --flagfile=configs/float_a1.cfg": f"{_DATA} {_NETWORK} --run_dir={_FLOAT}_a1",
    f"{_TRAIN} --flagfile=configs/xnor.cfg --init_from={_FLOAT}_a1 --run_dir=runs/second_stage": f"{_DATA} {_NETWORK}",
    f"{_TRAIN} --flagfile=configs/xnor.cfg --teacher={_FLOAT} --run_dir=runs/taught": f"{_DATA} {_NETWORK}",
    f"tfq weights {_FLOAT} float.npz": "",
    f"tfq plot {_FLOAT} {_XNOR} --out=curves.png": "",
    f"{_TRAIN} --dataset=npz --data_dir=mine.npz": f"--limit_train=64 --batch_size=8 --epochs=1 {_NETWORK} --run_dir=runs/mine",
    f"{_TRAIN} --dataset=folder --data_dir=DIR --image_size=32": f"--epochs=1 --batch_size=8 {_NETWORK} --run_dir=runs/folder",
    f"{_TRAIN} --dataset=folder --data_dir=DIR --stream": (
        f"--image_size=32 --epochs=1 --batch_size=8 {_NETWORK} --run_dir=runs/stream"
    ),
    ".venv/bin/python -m lab.hostile": "--count=10 --json=results/tiny_hostile.json",
    f"{_SWEEP} table": "",
    f"{_SWEEP} questions": "",
    f"{_SWEEP} --recipe=short --hours=8": f"--results=results/tiny --tag=tiny --rows=resnet20/float -- {_FEW} {_NETWORK}",
    f"{_SWEEP} zoo": "--results=results/tiny --dataset=npz --data_dir=tests/data/cifar10_slice.npz",
    f"{_SWEEP} --recipe=full": f"--results=results/tiny --tag=tiny --rows=resnet20/float -- {_FEW} {_NETWORK}",
    f"{_SWEEP} --recipe=full --list": "",
    "python -m lab.sweep --recipe=full --at_once=4 --backend=jax -- --data_dir=cifar10.npz --steps_per_execution=30": "--list",
    **{
        f"python -m lab.sweep --recipe=full {holdout}--rows='resnet20_272k/*' --at_once=3 --backend=jax --tag={tag} -- "
        f"--epochs={epochs} --steps_per_execution=30{flags}": "--list"
        for holdout, tag, epochs, flags in (
            ("--holdout=5000 ", "plain60", 60, ""),
            ("--holdout=5000 ", "taught60", 60, " --teacher=teacher.keras"),
            ("--holdout=5000 ", "half60", 60, " --teacher=teacher.keras --teacher_weight=0.5"),
            ("", "taught400", 400, " --teacher=teacher.keras"),
        )
    },
    f"{_SWEEP} --recipe=questions --holdout=5000": (
        f"--holdout=16 --results=results/tiny --tag=tiny --rows=resnet20_272k/dorefa_a1w1 -- {_FEW} --depth=8"
    ),
    f"{_SGD}_a4w4_sgd_0.1 --tag=high -- --lr=1 --epochs=7": "--list",
    f".venv/bin/python -m lab.experiments.reset_batch_normalization {_HIGH} runs/reset": "",
    "python -m lab.experiments.reset_batch_normalization RUN_DIR COPY": "",
    ".venv/bin/python -m lab.experiments.unfold_batch_normalization "
    "results/sweep/short_batch32/networks/resnet20_float_seed0.tfq runs/float_batch32.keras": (
        "--dataset=npz --data_dir=tests/data/cifar10_slice.npz"
    ),
    f"{_SGD}_a4w4_sgd_0.1 --tag=high_then_0_reset -- --lr=0.1 --epochs=3 --init_from=runs/reset/last.keras": "--list",
    f"{_SGD}_a4w4_sgd_0.1 --tag=high_then_0 -- --lr=0.1 --epochs=3 --init_from={_HIGH}/last.keras": "--list",
    f"{_SGD}_a4w4_sgd_0.1 --tag=high_then_3 -- --lr=0.3 --epochs=3 --init_from={_HIGH}/last.keras": "--list",
    f"{_SGD}_a4w4_sgd_0.1 --tag=momentum99 -- --bn_momentum=0.99": "--list",
    f"{_SGD}_a2w2_sgd_0.1 --tag=decay10 -- --weight_decay=5e-2": "--list",
    f"{_SGD}_a2w2_sgd_0.1 --tag=decay -- --weight_decay=5e-3": "--list",
    f"{_SGD}_a2w2_sgd_0.1 --tag=nolatent -- --nolatent": "--list",
    f"{_SGD}_a4w4_sgd_0.1 --tag=nolatent -- --nolatent": "--list",
    f"{_SGD}_a4w4_sgd_0.1 --tag=rate1 -- --lr=1": "--list",
    f".venv/bin/python -m lab.experiments.one_bit --scaled_gradient {_ONE_BIT}": f"{_DATA} --depth=8 --run_dir=runs/scaled",
    f".venv/bin/python -m lab.experiments.one_bit --l2=5e-4 {_ONE_BIT}": f"{_DATA} --depth=8 --run_dir=runs/l2",
    f"{_TRAIN} --flagfile=configs/float_a1.cfg --width=1 --epochs=12 --bfloat16 --holdout=5000 --run_dir=runs/first12": (
        f"{_FEW} --holdout=16 --depth=8"
    ),
    f"{_TRAIN} --method=float --width=1 --epochs=12 --bfloat16 --holdout=5000 --run_dir=runs/float12": (
        f"{_FEW} --holdout=16 --depth=8"
    ),
    **{
        f"{_TRAIN} --flagfile=configs/{method}_a2w2.cfg --width=1 --epochs=3 --limit_train=9000 --holdout=1000 --bfloat16 "
        f"--init_from=runs/float12 --run_dir=runs/short_{method}": f"{_DATA} --depth=8"
        for method in ("dorefa", "lsq", "ewgs")
    },
    f"{_TRAIN} --flagfile=configs/int8.cfg --width=1 --epochs=2 --bfloat16 --holdout=5000": (
        f"{_DATA} --depth=8 --run_dir=runs/int8"
    ),
    ".venv/bin/python -m lab.benchmark infer --run=results/sweep/short/resnet20_xnor_seed0.json "
    "--float_run=results/sweep/short/resnet20_float_seed0.json --json=results/benchmark_infer_xnor.json": (
        "--repetitions=1 --threads=1 --images=16"
    ),
    ".venv/bin/python -m lab.benchmark infer --run=results/sweep/short/resnet20_xnor_seed0.json "
    "--float_run=results/sweep/short/resnet20_float_seed0.json --threads=1 --repetitions=5 "
    "--json=results/benchmark_infer_openvino.json --also results/sweep/full/networks/resnet20_dorefa_a4w4_seed0.tfq "
    "results/sweep/full/networks/resnet20_dorefa_a8w8_seed0.tfq": ("--repetitions=1 --threads=1 --images=16"),
    ".venv/bin/python -m lab.benchmark depthwise": "--turns=2",
    ".venv/bin/python -m lab.benchmark layers --json=results/benchmark_layers.json": "--turns=1 --batch_size=1 --width=1",
    ".venv/bin/python -m lab.benchmark layers --library=larq --json=results/benchmark_layers.json": (
        "--turns=1 --batch_size=1 --width=1"
    ),
    ".venv/bin/python -m lab.benchmark conv": "--shapes 8x32x32x3 --repetitions=1",
    ".venv/bin/python -m lab.benchmark concurrency results/sweep/short/networks/resnet20_xnor_seed0.tfq": (
        "--seconds=1 --callers=2"
    ),
    ".venv/bin/python -m lab.benchmark memory --json=results/benchmark_memory.json": "--turns=1 --batch_size=8",
    ".venv/bin/python -m lab.benchmark train --json=results/benchmark_train.json": (
        "--repetitions=1 --steps=3 --batch_size=8 --only keras3_float_stock tfq_float"
    ),
    ".venv/bin/python -m lab.equality --run_dir=results/sweep/short/resnet20_xnor_seed0.json": (
        "--images=16 --layer_images=2 --tflite_images=0 --lce_images=0"
    ),
    "python -m lab.c_accuracy --json=results/c_accuracy.json": (
        "resnet20_272k_xnor_cifar10 --images=16 --dataset=npz --data_dir=tests/data/cifar10_slice.npz"
    ),
    "python -m lab.c_equality": (
        "tfq/zoo/networks/resnet20_272k_xnor_cifar10.tfq --dataset=npz --data_dir=tests/data/cifar10_slice.npz --images=16 "
        "--sum_images=4 --json=results/tiny_c_equality.json"
    ),
    'python -c "import tfq; tfq.layers.QuantConv2D"': "",
    "python -c \"import models; from tfq.training import transfer; m = models.build('resnet20', 'float'); "
    "transfer.initialize(m, 'results/sweep/full/weights/resnet20_float_seed0.npz'); m.save('teacher.keras')\"": "",
} | {
    f"{_SWEEP} --recipe={command}": "--list"
    for command in (
        *(
            f"short --holdout=5000 --rows=resnet20/float --tag=six_{tag} -- --epochs=6{flags}"
            for tag, flags in {
                "b128": "",
                "b64": " --batch_size=64",
                "b64_rate2": " --batch_size=64 --lr=0.2",
                "b64_cosine": " --batch_size=64 --schedule=cosine",
                "b32": " --batch_size=32 --lr=0.05",
            }.items()
        ),
        "short --rows=resnet20/float --tag=batch64 -- --batch_size=64",
        "short --rows=resnet20/float --tag=batch32 -- --batch_size=32 --lr=0.05",
        "short --at_once=2 --tag=batch64 --rows='resnet20/xnor,resnet20/ternary,resnet20/dorefa_a1w1,resnet20/dorefa_a2w2,"
        "resnet20/dorefa_a4w4,resnet20/dorefa_a8w8' -- --batch_size=64 --init_from=runs/float_batch32.keras",
        "full --rows=resnet20/float --tag=again -- --init_from=results/sweep/full/weights/resnet20_float_seed0.npz --epochs=12 "
        "--batch_size=64 --lr=0.02",
        "full --holdout=5000 --tag=two_w1 --rows='resnet20/ternary_a1,resnet20/dorefa_a8w8,resnet20/dorefa_a16w16,"
        "resnet20/dorefa_a1w2*' -- --epochs=2 --bfloat16 --width=1 --init_from=",
        "full --holdout=5000 --rows='nin/*' --tag=two -- --epochs=2 --bfloat16",
        "full --holdout=5000 --rows=resnet20/float --tag=control -- --width=1 --schedule=step --milestones=7 --weight_decay=0 "
        "--epochs=10 --bfloat16 --diagnose",
        "full --holdout=5000 --rows=resnet20_272k/xnor --tag=warm12 -- --epochs=12 --bfloat16 "
        "--init_from=runs/sweep/full_holdout5000_control/resnet20_float_seed0",
        "full --holdout=5000 --rows=resnet20_272k/xnor --tag=scratch12 -- --epochs=12 --bfloat16",
        "full --holdout=5000 --rows=resnet20_272k/xnor --tag=taught12 -- --epochs=12 --teacher=teacher.keras",
        "full --holdout=5000 --rows=resnet20_272k/xnor --tag=second12 -- --epochs=12 --init_from=runs/first12",
        "full --holdout=5000 --rows=resnet20_272k/xnor --tag=from_float12 -- --epochs=12 --init_from=runs/float12",
        "full --holdout=5000 --rows=resnet20_272k/dorefa_a2w2 --tag=scratch12 -- --epochs=12 --bfloat16",
    )
}

_SET_UP = "minutes of set-up, which downloads packages"
_ITSELF = "these tests are a part of it"
_JOB = "a job of several devices or machines; tests/distribute starts small ones"
CANNOT_RUN = {
    f"{_TRAIN} --dataset=shards --data_dir=DIR": "test_data_stored.py trains on shards; this folder holds image files",
    "python -m lab.dask_inference model.tfq FOLDER tables --workers=2": "needs Dask; test_bulk.py runs it",
    **{
        f"python train.py --flagfile=configs/xnor.cfg {flags}": _JOB
        for flags in (
            "--backend=tensorflow --distribute=mirrored --batch_size=512 --lr_batch=128",
            "--backend=jax --distribute=data_parallel --batch_size=512 --lr_batch=128",
            "--backend=jax --distribute=data_parallel --run_dir=/shared/xnor",
        )
    },
    "make demo": f"{_SET_UP}; test_configs.py trains its config",
    "make setup": _SET_UP,
    "make setup-jax": _SET_UP,
    "make setup-torch": _SET_UP,
    "make lint": "continuous integration runs it beside the tests",
    "make docs": "make lint builds the same site",
    "make notebooks": "writes what test_docs_notebooks.py compares with",
    "make demo-page": "writes what test_docs_demo.py compares with",
    "make test": _ITSELF,
    "make test-all": _ITSELF,
    "make test-313": f"{_SET_UP} and Python 3.13",
    "make test-torch": _ITSELF,
    "make test-fpga": f"{_SET_UP}, with hls4ml and FINN",
    "make test-nightly": f"{_SET_UP}; the same tests",
    "make lock": "resolves against the package index",
    "python -m lab.c_sizes": "writes into the checkout; test_c_benchmark.py measures",
    "python -m lab.benchmark c --python=PYTHON --old=d7a8a53 --json=results/benchmark_c.json": (
        "PYTHON is of an environment that has BakeNN; test_c_benchmark.py runs ours"
    ),
    ".venv/bin/python -m lab.benchmark builds d7a8a53 --starts=1 --turns=40 "
    "--networks results/sweep/full/networks/resnet20_xnor_seed0.tfq": (
        "needs the history of the repository, which a copy lacks; test_benchmark.py compares two builds"
    ),
    ".venv/bin/python -m lab.benchmark start d7a8a53 --json=results/benchmark_start.json": (
        "needs the history of the repository, which a copy lacks; test_benchmark.py starts two builds"
    ),
    "make wheel": "builds in an environment of its own; the tests of the wheels do so",
    "pip install --find-links dist 'tfq[tensorflow,train,runtime]'": "downloads packages",
    "pip install openvino nncf": "downloads packages",
    "pip install --find-links dist 'tfq[tensorflow]'": "downloads packages",
    "pip install --find-links dist 'tfq-runtime[commands]'": "downloads packages; the tests of the wheels install it",
    ".venv/bin/python -m pytest tests/layers": _ITSELF,
    "TF_USE_LEGACY_KERAS=1 .venv/bin/python -m pytest tests/layers": _ITSELF,
    "KERAS_BACKEND=jax .venv-jax/bin/python -m pytest tests/layers": _ITSELF,
    "KERAS_BACKEND=torch .venv-torch/bin/python -m pytest tests/layers": _ITSELF,
    "python -m lab.benchmark layers --library=hgq2 --python=PYTHON --json=results/benchmark_layers.json": (
        "PYTHON is of an environment that has it; test_benchmark.py runs the libraries that are here"
    ),
    "python -m lab.benchmark distribute --json=results/benchmark_distribute.json": (
        "two processes on JAX; test_distribute_benchmark.py runs it in small"
    ),
    "python -m lab.benchmark feed --bfloat16": "JAX on an accelerator; test_data_on_device.py runs it in small, on JAX",
    f"{_TRAIN} --evaluate --backend=tensorflow --run_dir=runs/sweep/full/resnet20_xnor_seed0": (
        "its run of 100 epochs is on another machine; that of docs/training.md is run instead"
    ),
}

COMMANDS = list(dict.fromkeys(command for page in pages.PAGES for command in pages.commands(page)))
# Short names, the same in each process.
IDS = [f"{number}-{'-'.join(re.findall(r'[A-Za-z]+', command)[:6])}" for number, command in enumerate(COMMANDS)]


def test_every_command_is_in_one_of_the_tables():
    assert not SHORT.keys() & CANNOT_RUN.keys()
    missing = [command for command in COMMANDS if command not in SHORT and command not in CANNOT_RUN]
    assert not missing, "say in SHORT how it is shortened, or in CANNOT_RUN why it cannot run:\n" + "\n".join(missing)
    gone = [command for command in [*SHORT, *CANNOT_RUN] if command not in COMMANDS]
    assert not gone, "no page has it:\n" + "\n".join(gone)


class Parsed(Exception):
    """The arguments of a command were parsed; it must not do more."""


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_a_command_has_its_program_and_takes_its_flags(command, monkeypatch):
    for words in (words_of(command), shortened(command)):
        with monkeypatch.context() as patched:
            patched.chdir(ROOT)
            check(words, patched)


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_programs_named_in_sentences_are_there(page):
    for command in pages.spans(page):
        words = words_of(command)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word and not word.startswith("-")} <= targets(), command
        elif words[0] == "tfq":
            assert words[1] in importlib.import_module("tfq.cli.main").COMMANDS, command
        elif words[1] == "-m":
            assert importlib.util.find_spec(words[2]), command


WRONG = {
    "make nothing": AssertionError,
    "pip install 'tfq[nothing]'": AssertionError,
    "python train.py --nothing=1": flags.UnrecognizedFlagError,
    "python train.py --model=nothing": flags.IllegalFlagValueError,
    "python -m lab.sweep --recipe=short -- --nothing=1": flags.UnrecognizedFlagError,
    "python -m lab.sweep --recipe=nothing": SystemExit,
    "python -m lab.benchmark conv --nothing": SystemExit,
    "python -m lab.nothing": ImportError,
    "python -m lab.experiments.one_bit --nothing=1": flags.UnrecognizedFlagError,
    "python -m pytest tests/nothing": AssertionError,
    "python -c 'import'": SyntaxError,
    "tfq run model.tfq FOLDER --nothing": SystemExit,
    "tfq nothing": pytest.fail.Exception,
    "cmake": AssertionError,
}


@pytest.mark.parametrize("command", WRONG)
def test_wrong_commands_are_found(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(WRONG[command]):
        check(words_of(command), monkeypatch)


def words_of(command):
    """Its words, without the variables in front."""
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return words


def check(words, monkeypatch):
    """Fail where the program is not there or does not take the flags; runs nothing."""
    program, *arguments = words
    match program:
        case "make":
            assert set(arguments) <= targets()
        case "pip":
            extras = {name for part in re.findall(r"\[(.*?)\]", " ".join(arguments)) for name in part.split(",")}
            assert extras <= PROJECT["optional-dependencies"].keys() | {"commands"}  # which tools/wheels.py gives tfq-runtime
        case "tfq":
            assert PROJECT["scripts"]["tfq"] == "tfq.cli.main:main"
            main = importlib.import_module("tfq.cli.main").main
            parse(lambda: main(arguments), ["tfq", *arguments], monkeypatch)
        case _ if program in PYTHON:
            check_python(arguments, monkeypatch)
        case _:
            raise AssertionError(f"what is {program}?")


def check_python(arguments, monkeypatch):
    match arguments:
        case ["-c", code]:
            compile(code, "command", "exec")
        case ["train.py", *rest]:
            parse_train(rest)
        case ["-m", "pytest", *paths]:
            assert all((ROOT / path).exists() for path in paths)
        case ["-m", "lab.experiments.one_bit" as module, *rest]:
            source = Path(importlib.util.find_spec(module).origin).read_text()
            own = re.findall(r'DEFINE_\w+\("(\w+)"', source)  # to import it would give them to train.py in this process
            parse_train([flag for flag in rest if re.split("=", flag.lstrip("-"))[0] not in own])
        case ["-m", "lab.sweep", *rest]:
            before = rest[: rest.index("--")] if "--" in rest else rest
            parse_train(rest[len(before) + 1 :])
            parse_module("lab.sweep", before, monkeypatch)
        case ["-m", module, *rest]:
            parse_module(module, rest, monkeypatch)
        case _:
            raise AssertionError(f"what is {arguments}?")


def targets():
    lines = re.findall(r"^([\w. -]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {target for line in lines for target in line.split()}


def parse_module(module, arguments, monkeypatch):
    parse(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True), [module, *arguments], monkeypatch)


def parse(main, line, monkeypatch):
    """Let a program parse its arguments, and stop it there."""
    parse_args = argparse.ArgumentParser.parse_args

    def parse_only(*given, **named):
        parse_args(*given, **named)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(Parsed):
        main()
    monkeypatch.undo()


def parse_train(arguments):
    import train

    # Where to start from is looked for, and made by another command.
    arguments = [re.sub(r"^--(init_from|teacher)=.+", rf"--\1={ROOT}", argument) for argument in arguments]

    with flagsaver.flagsaver():
        assert train.FLAGS(["train.py", *arguments]) == ["train.py"]


@pytest.mark.slow
def test_commands_run(tmp_path):
    """As the pages write them, but for the flags of `SHORT`, in a copy of the checkout."""
    workspace(tmp_path)
    failed = []
    for command in (command for command in SHORT if command in COMMANDS):
        prepare(tmp_path)
        line = runnable(shortened(command))
        ran = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=600)
        if ran.returncode:
            failed.append(f"{shlex.join(line)}\n{ran.stdout[-1000:]}{ran.stderr[-2000:]}")
    assert not failed, "\n\n".join([f"{len(failed)} failed", *failed])


def shortened(command):
    """The words of a command with what shortens it behind; `--list` is a flag of a sweep itself, which stands before its `--`."""
    words, short = words_of(command), SHORT.get(command, "")
    place = words.index("--") if short == "--list" and "--" in words else len(words)
    words[place:place] = short.split()
    return words


def runnable(words):
    if words[0] == "tfq":
        return [sys.executable, "-c", "import sys; from tfq.cli.main import main; sys.exit(main())", *words[1:]]
    return [sys.executable, *words[1:]]


def environment():
    kept = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS")}
    return kept | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def workspace(folder):
    """A checkout whose results and pages may be written to, and the files that the commands name."""
    from PIL import Image

    for name in ("train.py", "configs", "models", "lab", "tests"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("results", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    with np.load(ROOT / "tests/data/cifar10_slice.npz") as arrays:
        images, classes = arrays["x_test"][:16], arrays["y_test"][:16].reshape(-1) % 2
        np.savez(folder / "mine.npz", x_train=images, y_train=classes, x_test=images, y_test=classes)
    for number, image in enumerate(images):
        for path in (folder / "FOLDER" / f"{number}.png", folder / "DIR" / f"class{number % 2}" / f"{number}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def prepare(folder):
    """Files that commands name by their kind are those of the run that the first of them trained."""
    for source, copy in {
        "export/model.tfq": "model.tfq",
        "export/model.tflite": "model.tflite",
        "best.keras": "model.keras",
    }.items():
        if (folder / _XNOR / source).is_file() and not (folder / copy).exists():
            shutil.copy(folder / _XNOR / source, folder / copy)
    for copy in (folder / "RUN_DIR", folder / _HIGH):
        if (folder / _XNOR).is_dir() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(folder / _XNOR)
