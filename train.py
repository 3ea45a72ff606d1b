"""Train a float or quantized network: python train.py --flagfile=configs/xnor.cfg

Later flags win over those of the flagfile. `--helpshort` lists them all.
"""

import importlib.util
import os
import sys
from pathlib import Path

from absl import app, flags

import models
from models import bits
from tfq import backends, choices, optional
from tfq.training.run_directory import RunDirectory, RunDirectoryError

FLAGS = flags.FLAGS

# What is trained.
flags.DEFINE_enum("model", "resnet20", models.NETWORKS, "Network.")
flags.DEFINE_enum("method", "xnor", bits.METHODS, "How it is quantized.")
flags.DEFINE_integer("w_bits", None, "Bits of the weights: 1 to 16, 32 for float. Default: the method's own.")
flags.DEFINE_integer("a_bits", None, "Bits of the activations, likewise.")
flags.DEFINE_integer("g_bits", None, "Bits of the gradients (dorefa), likewise. Default: float.")
flags.DEFINE_boolean("kmap", False, "xnor: multiply each convolution by the scale K of its inputs.")
flags.DEFINE_float("bn_momentum", None, "Share of its moving statistics that batch normalization keeps a step. Default: 0.9.")
flags.DEFINE_boolean(
    "latent", True, "Keep latent weights in float; --nolatent trains the quantized ones, to see what that costs."
)
flags.DEFINE_boolean("bn_first", None, "nin: batch normalization in front of quantized convolutions. Default: with 1-bit inputs.")
flags.DEFINE_integer("width", None, "resnet20: output channels of a block over its inner ones; 1 is He et al. Default: 4.")
flags.DEFINE_integer("depth", None, "resnet20: 6 n + 2. Default: 20.")

# On what.
flags.DEFINE_enum(
    "dataset",
    "cifar10",
    choices.DATASETS,
    "Data set. Of your own: npz with x_train, y_train, x_test, y_test and perhaps labels (names of classes) in --data_dir=FILE; "
    "folder with images in DIR/train/CLASS/ and DIR/test/CLASS/, or in DIR/CLASS/, of --data_dir=DIR.",
)
flags.DEFINE_string("data_dir", None, "Where the data set is, if it is not to be found in the cache or fetched.")
flags.DEFINE_string("image_size", None, "folder: scale images to HEIGHTxWIDTH, such as 32x48, or 32. Default: all have one.")
flags.DEFINE_string("labels", None, "Names of the classes, for exports: a file with one a line, or A,B,... Default: the data's.")
flags.DEFINE_boolean("crop", True, "Crop training images at random out of themselves padded by 4 black pixels.")
flags.DEFINE_boolean("flip", None, "Mirror half of the training images. Default: yes with cifar10 and cifar100.")
flags.DEFINE_integer("holdout", 0, "Training images to hold out, to pick the best epoch on.", lower_bound=0)
flags.DEFINE_integer("limit_train", None, "Train on the first so many images alone, for short trials.", lower_bound=1)

# How.
flags.DEFINE_integer("epochs", 100, "Passes over the training images.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Images a step.", lower_bound=1)
flags.DEFINE_integer("eval_batch_size", None, "Images a step of a test. Default: --batch_size.", lower_bound=1)
flags.DEFINE_enum("optimizer", "adam", choices.OPTIMIZERS, "sgd has momentum 0.9.")
flags.DEFINE_float("lr", 0.005, "Highest learning rate.", lower_bound=0.0)
flags.DEFINE_enum("schedule", "onecycle", choices.SCHEDULES, "Course of the learning rate.")
flags.DEFINE_list("milestones", "50,75", "step: epochs after which the rate is divided by ten.")
flags.DEFINE_float("weight_decay", 0.0, "Decoupled: each step takes rate * weight_decay off a kernel.", lower_bound=0.0)
flags.DEFINE_string("init_from", None, "Start from the weights of this run directory, .keras, .weights.h5 or .npz file.")
flags.DEFINE_list("init_skip", "", "Layers that --init_from leaves out, such as head for other classes; * is any text.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order, augmentation and gradient noise.", lower_bound=0)
flags.DEFINE_boolean("deterministic", False, "Same bits each time; slower where the backend has faster ops that are not.")
flags.DEFINE_boolean("bfloat16", False, "Train with products in bfloat16 where that is faster; test in float32.")
flags.DEFINE_boolean("diagnose", False, "Add to history.csv, each epoch, what may be wrong with a low-bit network.")
flags.DEFINE_boolean("stop_on_collapse", True, "Stop a run whose training accuracy is that of guesses.")
flags.DEFINE_integer("steps_per_execution", 1, "Steps between two looks at the loss; more may be faster on a GPU.", lower_bound=1)
flags.DEFINE_enum(
    "backend", None, choices.BACKENDS, "Keras' backend; tf_keras is Keras 2. Default: KERAS_BACKEND, or what there is."
)

# Where to, and what else.
flags.DEFINE_string("run_dir", None, "Directory of the run. Default: runs/DATASET_MODEL_METHOD.")
flags.DEFINE_boolean("resume", True, "Go on with the run in --run_dir; --noresume starts it over.")
flags.DEFINE_boolean("evaluate", False, "Do not train: test the best and the last checkpoint of --run_dir.")
flags.DEFINE_list("export", "", f"Formats to export the best checkpoint to at the end: {', '.join(choices.EXPORTS)}.")

# They do not change what comes out of training. That of --backend is rounded differently; versions.json names each.
_FREE_FLAGS = (
    "backend",
    "data_dir",
    "diagnose",
    "eval_batch_size",
    "evaluate",
    "export",
    "labels",
    "resume",
    "run_dir",
    "steps_per_execution",
    "stop_on_collapse",  # whoever sees that a run was stopped too early lets it go on
)


class UsageError(Exception):
    """The user's flags do not go together; the message is one line that names the flag."""


def flag_texts():
    """The flags of this program that are set, as the texts that `--flagfile` reads."""
    return {flag.name: _text(flag.value) for flag in _own_flags() if flag.value is not None}


def _default_texts():
    return {flag.name: _text(flag.default) for flag in _own_flags() if flag.default is not None}


def _own_flags():
    return FLAGS.get_flags_for_module(sys.modules[_own_flags.__module__])


def _text(value):
    return ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)


def check_flags():
    """Find contradictions before anything is loaded.

    Raises:
        UsageError: with one line that names the flag.
    """
    try:
        bits.resolve(FLAGS.method, FLAGS.w_bits, FLAGS.a_bits, FLAGS.g_bits)
    except ValueError as error:
        raise UsageError(f"--{error}") from error
    _check_network_flags()
    _check_data_flags()
    if not FLAGS.lr > 0:
        raise UsageError(f"--lr={FLAGS.lr} must be above 0")
    if not all(epoch.isdecimal() and int(epoch) > 0 for epoch in FLAGS.milestones):
        raise UsageError(f"--milestones={','.join(FLAGS.milestones)} must be epochs with commas between, such as 50,75")
    for name in FLAGS.export:
        if name not in choices.EXPORTS:
            raise UsageError(f"--export={name} is unknown; known are {', '.join(choices.EXPORTS)}")
        if FLAGS.method == "int8" and name not in choices.INT8_EXPORTS:
            raise UsageError(f"--export={name} is not for --method=int8; that has {', '.join(choices.INT8_EXPORTS)}")
        if name == "lce" and FLAGS.method not in ("xnor", "float"):
            raise UsageError(f"--export=lce needs --method=xnor, whose kernels and inputs are signs; got --method={FLAGS.method}")
    if FLAGS.init_from and not FLAGS.evaluate and not Path(FLAGS.init_from).exists():
        raise UsageError(f"--init_from={FLAGS.init_from}: there is no such file or directory")
    if FLAGS.init_skip and not FLAGS.init_from:
        raise UsageError(f"--init_skip={','.join(FLAGS.init_skip)} leaves out layers of --init_from, which is not given")


def _check_data_flags():
    if FLAGS.dataset in choices.OWN_DATA and not FLAGS.data_dir:
        raise UsageError(f"--dataset={FLAGS.dataset} needs --data_dir={choices.OWN_DATA[FLAGS.dataset]}")
    if FLAGS.image_size is None:
        return
    if FLAGS.dataset != "folder":
        raise UsageError(f"--image_size is for --dataset=folder; got --dataset={FLAGS.dataset}")
    try:
        choices.image_size(FLAGS.image_size)
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def _check_network_flags():
    if FLAGS.kmap and FLAGS.method != "xnor":
        raise UsageError(f"--kmap is for --method=xnor; got --method={FLAGS.method}")
    if FLAGS.bn_first is not None and FLAGS.model != "nin":
        raise UsageError(f"--bn_first is for --model=nin; got --model={FLAGS.model}")
    for name in ("width", "depth"):
        if FLAGS[name].value is not None and FLAGS.model != "resnet20":
            raise UsageError(f"--{name} is for --model=resnet20; got --model={FLAGS.model}")
    if FLAGS.latent is False and FLAGS.method in ("float", "int8"):
        raise UsageError(f"--nolatent is for low-bit methods; got --method={FLAGS.method}")
    if FLAGS.bn_momentum is not None and not 0 <= FLAGS.bn_momentum < 1:
        raise UsageError(f"--bn_momentum={FLAGS.bn_momentum} must be from 0 to below 1")
    if FLAGS.width is not None and FLAGS.width < 1:
        raise UsageError(f"--width={FLAGS.width} must be 1 or more")
    if FLAGS.depth is not None and (FLAGS.depth < 8 or (FLAGS.depth - 2) % 6):
        raise UsageError(f"--depth={FLAGS.depth} must be 6 n + 2 with n >= 1: 8, 14, 20, ...")


def choose_backend(log=print):
    """Set the backend by the flags; must run before Keras is imported.

    Raises:
        UsageError: the flags contradict each other, or the backend is not installed.
    """
    backend = _wanted_backend(log)
    if FLAGS.latent is False and backend == "tf_keras":
        raise UsageError("--nolatent needs Keras 3, which lets a variable get a constraint; got tf_keras")
    of_int8 = [("tensorflow_model_optimization", "--method=int8")] if FLAGS.method == "int8" else []
    for package, flag in [*of_int8, (backend, f"--backend={backend}")]:  # the extra of the former brings tf_keras too
        if importlib.util.find_spec(package) is None:
            raise UsageError(optional.missing(package, flag))
    of_tensorflow = [name for name in FLAGS.export if name not in choices.ANY_BACKEND_EXPORTS]
    if of_tensorflow and backend not in ("tensorflow", "tf_keras"):
        raise UsageError(f"--export={','.join(of_tensorflow)} needs --backend=tensorflow or tf_keras; got {backend}")
    if FLAGS.steps_per_execution > 1 and backend == "torch":
        raise UsageError(f"--steps_per_execution={FLAGS.steps_per_execution}: Keras knows 1 alone on --backend=torch")
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    os.environ["KERAS_BACKEND"] = backend
    if backend == "tf_keras":
        os.environ.update(TF_USE_LEGACY_KERAS="1", KERAS_BACKEND="tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return backend


def _wanted_backend(log):
    if FLAGS.method == "int8":
        if FLAGS.backend not in (None, "tf_keras"):
            raise UsageError(f"--method=int8 is tfmot's, which knows --backend=tf_keras alone; got --backend={FLAGS.backend}")
        return "tf_keras"
    if FLAGS.backend:
        return FLAGS.backend
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True"):
        return "tf_keras"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    backend = backends.first_installed()
    if backend and backend != "tensorflow":
        log(f"TensorFlow is not installed: training on {backend}")
    if backend:
        return backend
    raise UsageError("no backend is installed: pip install 'tfq[tensorflow]', or 'tfq[jax]' and give --backend=jax")


def run_directory():
    """The directory that the flags mean."""
    quantization = FLAGS.method
    if FLAGS.method in ("dorefa", "lsq"):
        quantization += "_" + "".join(f"{name[0]}{FLAGS[name].value or 32}" for name in ("a_bits", "w_bits", "g_bits"))
    path = FLAGS.run_dir or f"runs/{FLAGS.dataset}_{FLAGS.model}_{quantization}"
    # A model inside tfmot's wrappers cannot be read back from .keras.
    return RunDirectory(path, suffix=".h5" if FLAGS.method == "int8" else ".keras")


def claim(directory, backend):
    """Open the directory for this run on `backend`: go on with the one that is in it, or start anew.

    Raises:
        UsageError: there is a run with other flags.
    """
    directory.open()
    directory.clear_leftovers()
    # What a run leaves that was stopped in its first epoch is nothing to go on with, and binds to no flags.
    if not FLAGS.resume or not directory.has_epochs():
        directory.clear()
    last = directory.last_backend()
    if last and (last == "tf_keras") != (backend == "tf_keras"):
        raise UsageError(
            f"--backend={backend} cannot go on with the run in {directory.path}, which is of --backend={last}: tf_keras "
            "and Keras 3 do not read each other's checkpoints; give another --run_dir, or --noresume to start over"
        )
    before, now = directory.read_flags(), flag_texts()
    if before is not None:
        # A run of an earlier version does not name the flags that came since.
        before = _default_texts() | before
        free = {*_FREE_FLAGS, "epochs"} if FLAGS.schedule in choices.OPEN_ENDED_SCHEDULES else _FREE_FLAGS
        for name in sorted({*before, *now} - {*free}):
            if before.get(name) != now.get(name):
                raise UsageError(
                    f"--{name}={now.get(name)} differs from --{name}={before.get(name)} of the run in {directory.path}"
                    f"{_way_out(name, directory)}, or --noresume to start over"
                )
    directory.claim(now)


def _way_out(name, directory):
    if name == "epochs":
        return (
            f", on which the course of --schedule={FLAGS.schedule} depends: give the same, or to train on from its weights "
            f"--init_from={directory.path} and another --run_dir"
        )
    return ": give the same, another --run_dir"


def parse(argv):
    """Read the flags; with `--evaluate`, those of the run stand behind the ones given, but for its exports, which are done."""
    try:
        rest = FLAGS(argv)
        if len(rest) > 1:
            raise UsageError(f"unexpected argument {rest[1]!r}: flags are written --name=value")
        earlier = run_directory().flags
        if FLAGS.evaluate and earlier.exists():
            FLAGS.unparse_flags()
            given = [argument for argument in argv[1:] if not _names(argument, earlier)]
            FLAGS([argv[0], f"--flagfile={earlier}", "--export=", *given])
        check_flags()
    except (flags.Error, UsageError) as error:
        die(error)
    return argv[:1]


def _names(argument, flagfile):
    name, _, path = argument.partition("=")
    return name.lstrip("-") == "flagfile" and Path(path).resolve() == flagfile.resolve()


def die(error, status=2):
    """End with one line."""
    message = " ".join(str(error).split())
    print(f"train.py: error: {message}", file=sys.stderr, flush=True)
    sys.exit(status)


def main(_):
    """Train, or test, by the flags."""
    directory = run_directory()
    try:
        _run(directory)
    except (KeyboardInterrupt, Exception) as error:
        if not _is_interrupt(error):
            raise
        die(_interrupted(directory), status=130)


def _run(directory):
    try:
        backend = choose_backend()
        if not FLAGS.evaluate:
            claim(directory, backend)
        # Imported here: the backend had to be chosen first.
        from tfq.cli import program
    except (UsageError, RunDirectoryError, ImportError, ValueError) as error:  # the last of a keras.json that Keras cannot read
        die(error)
    try:
        with models.reading(FLAGS.method):
            program.run(FLAGS, backend, directory, models.build)
    except RunDirectoryError as error:  # as above: the directory is another run's
        die(error)
    except program.ERRORS as error:
        die(error, status=1)


def _is_interrupt(error):
    # Where it comes while TensorFlow traces a function, Keras raises an error of its own from it.
    return error is not None and (isinstance(error, KeyboardInterrupt) or _is_interrupt(error.__cause__ or error.__context__))


def _interrupted(directory):
    if FLAGS.evaluate:
        return "interrupted"
    if directory.has_checkpoint():
        command = "the same command" if FLAGS.resume else "the same command without --noresume"
        return f"interrupted; {command} goes on from the last checkpoint in {directory.path}"
    return f"interrupted before the first checkpoint in {directory.path}: the same command starts over"


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
