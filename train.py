"""Train a float or quantized network: python train.py --flagfile=configs/xnor.cfg

Later flags win over those of the flagfile. `--helpshort` lists them all.
"""

import contextlib
import dataclasses
import importlib.util
import inspect
import os
import re
import signal
import sys
import traceback
from pathlib import Path

from absl import app, flags

import models
from models.methods import METHODS
from models.networks import COMMON, NETWORKS, OF_METHODS
from tfq import backends, choices, optional
from tfq.cli.config import TrainingConfig
from tfq.export.formats import FORMATS, unfit
from tfq.terminal import INTERRUPTED, STOPPED, one_line
from tfq.training.run_directory import RunDirectory, RunDirectoryError

FLAGS = flags.FLAGS
_DEFAULT = TrainingConfig()


def _define(option, text):
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_boolean}[option.kind]
    define(option.name, option.default, text)


# What is trained.
flags.DEFINE_enum("model", _DEFAULT.model, tuple(NETWORKS), "Network.")
flags.DEFINE_enum("method", _DEFAULT.method, tuple(METHODS), "How it is quantized.")
flags.DEFINE_integer("w_bits", None, "Bits of the weights: 1 to 16, 32 for float. Default: the method's own.")
flags.DEFINE_integer("a_bits", None, "Bits of the activations, likewise.")
flags.DEFINE_integer("g_bits", None, "Bits of the gradients (dorefa), likewise. Default: float.")
for _option in COMMON:
    _define(_option, _option.help)
# In the order that flags.cfg has them in.
_OPTIONS = {option.name: option for network in reversed(NETWORKS.values()) for option in network.options}
for _option in _OPTIONS.values():
    _define(_option, " ".join(f"{n.name}: {o.help}" for n in NETWORKS.values() for o in n.options if o.name == _option.name))

# On what.
flags.DEFINE_enum(
    "dataset",
    _DEFAULT.dataset,
    choices.DATASETS,
    "Data set. Of your own: npz with x_train, y_train, x_test, y_test and perhaps labels (names of classes) in --data_dir=FILE; "
    "folder with images in DIR/train/CLASS/ and DIR/test/CLASS/, or in DIR/CLASS/, of --data_dir=DIR; shards with x_train*.npy, "
    "y_train*.npy, x_test*.npy and y_test*.npy in --data_dir=DIR.",
)
flags.DEFINE_string("data_dir", _DEFAULT.data_dir, "Where the data set is, if it is not to be found in the cache or fetched.")
flags.DEFINE_string(
    "image_size", _DEFAULT.image_size, "folder: scale images to HEIGHTxWIDTH, such as 32x48, or 32. Default: all have one."
)
flags.DEFINE_boolean("stream", _DEFAULT.stream, "folder, npz: leave images on disk that do not fit memory.")
flags.DEFINE_string(
    "labels", _DEFAULT.labels, "Names of the classes, for exports: a file with one a line, or A,B,... Default: the data's."
)
flags.DEFINE_boolean("crop", _DEFAULT.crop, "Crop training images at random out of themselves padded by 4 black pixels.")
flags.DEFINE_boolean("flip", _DEFAULT.flip, "Mirror half of the training images. Default: yes with cifar10 and cifar100.")
flags.DEFINE_integer("holdout", _DEFAULT.holdout, "Training images to hold out, to pick the best epoch on.", lower_bound=0)
flags.DEFINE_integer(
    "limit_train", _DEFAULT.limit_train, "Train on the first so many images alone, for short trials.", lower_bound=1
)

# How.
flags.DEFINE_integer("epochs", _DEFAULT.epochs, "Passes over the training images.", lower_bound=1)
flags.DEFINE_integer("batch_size", _DEFAULT.batch_size, "Images a step.", lower_bound=1)
flags.DEFINE_integer(
    "eval_batch_size", _DEFAULT.eval_batch_size, "Images a step of a test. Default: --batch_size.", lower_bound=1
)
flags.DEFINE_enum("optimizer", _DEFAULT.optimizer, choices.OPTIMIZERS, "sgd has momentum 0.9.")
flags.DEFINE_float("lr", _DEFAULT.lr, "Highest learning rate.", lower_bound=0.0)
flags.DEFINE_enum("schedule", _DEFAULT.schedule, choices.SCHEDULES, "Course of the learning rate.")
flags.DEFINE_list("milestones", list(map(str, _DEFAULT.milestones)), "step: epochs after which the rate is divided by ten.")
flags.DEFINE_float(
    "weight_decay", _DEFAULT.weight_decay, "Decoupled: each step takes rate * weight_decay off a kernel.", lower_bound=0.0
)
flags.DEFINE_string(
    "init_from", _DEFAULT.init_from, "Start from the weights of this run directory, .keras, .weights.h5 or .npz file."
)
flags.DEFINE_list(
    "init_skip",
    list(_DEFAULT.init_skip),
    "Layers that --init_from leaves out, such as head for other classes; * is any text.",
)
flags.DEFINE_string(
    "teacher",
    _DEFAULT.teacher,
    "Learn from the network of this run directory or .keras file as well (Hinton et al. 2015); .npz and .weights.h5 hold weights "
    "of the float network of these flags.",
)
flags.DEFINE_float(
    "temperature", _DEFAULT.temperature, "Scores of --teacher and network are divided by it before they are compared."
)
flags.DEFINE_float("teacher_weight", _DEFAULT.teacher_weight, "Share of --teacher in the loss, the rest is that of the labels.")
flags.DEFINE_integer("seed", _DEFAULT.seed, "Seed of weights, data order, augmentation and gradient noise.", lower_bound=0)
flags.DEFINE_boolean(
    "deterministic", _DEFAULT.deterministic, "Same bits each time; slower where the backend has faster ops that are not."
)
flags.DEFINE_boolean("bfloat16", _DEFAULT.bfloat16, "Train with products in bfloat16 where that is faster; test in float32.")
flags.DEFINE_boolean("diagnose", _DEFAULT.diagnose, "Add to history.csv, each epoch, what may be wrong with a low-bit network.")
flags.DEFINE_boolean("stop_on_collapse", _DEFAULT.stop_on_collapse, "Stop a run whose training accuracy is that of guesses.")
flags.DEFINE_integer(
    "steps_per_execution",
    _DEFAULT.steps_per_execution,
    "Steps between two looks at the loss; more may be faster on a GPU.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "distribute",
    _DEFAULT.distribute,
    tuple(choices.DISTRIBUTIONS),
    "Devices: mirrored, all GPUs of this machine (TensorFlow); data_parallel, all devices, and the processes of "
    "KERAS_DISTRIBUTION_* (JAX); multiworker says what there is instead. --batch_size is that of all together.",
)
flags.DEFINE_integer(
    "lr_batch",
    _DEFAULT.lr_batch,
    "--lr is that of batches of so many images: sgd multiplies it by batch_size / lr_batch, adam by the root of that.",
    lower_bound=1,
)
flags.DEFINE_boolean("synchronized_bn", _DEFAULT.synchronized_bn, "mirrored: batch normalization over the batch of all; slower.")
flags.DEFINE_enum(
    "backend", None, choices.BACKENDS, "Keras' backend; tf_keras is Keras 2. Default: KERAS_BACKEND, or what there is."
)

# Where to, and what else.
flags.DEFINE_string("run_dir", None, "Directory of the run. Default: runs/DATASET_MODEL_METHOD.")
flags.DEFINE_boolean("resume", True, "Go on with the run in --run_dir; --noresume starts it over.")
flags.DEFINE_boolean("evaluate", _DEFAULT.evaluate, "Do not train: test the best and the last checkpoint of --run_dir.")
flags.DEFINE_list("export", list(_DEFAULT.export), f"Formats to export the best checkpoint to at the end: {', '.join(FORMATS)}.")

# They do not change what comes out of training. That of --backend is rounded differently; versions.json names each.
_FREE_FLAGS = (
    "backend",
    "data_dir",
    "diagnose",
    "distribute",  # as that of --backend
    "eval_batch_size",
    "evaluate",
    "export",
    "labels",
    "resume",
    "run_dir",
    "steps_per_execution",
    "stop_on_collapse",  # whoever sees that a run was stopped too early lets it go on
    "teacher",  # teacher.json knows it by the digest of its file, wherever that lies
)


class UsageError(Exception):
    """The user's flags do not go together; the message is one line that names the flag."""


def config():
    """The flags as what the training program takes."""
    network = models.networks.network(FLAGS.model)
    names = ["w_bits", "a_bits", "g_bits", *(option.name for option in (*COMMON, *network.options))]
    arguments = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    shape = {option.name: arguments[option.name] for option in network.options if option.name in arguments}
    made = {
        "milestones": tuple(map(int, FLAGS.milestones)),
        "network": arguments,
        "shape": shape,
        "count_relu": network.counts_relu,
    }
    same = [each.name for each in dataclasses.fields(TrainingConfig) if each.name not in made]
    return TrainingConfig(**{name: FLAGS[name].value for name in same}, **made)


def flag_texts():
    """The flags of this program that are set, as the texts that `--flagfile` reads."""
    return {flag.name: _text(flag, flag.value) for flag in _own_flags() if flag.value is not None}


def _default_texts():
    return {flag.name: _text(flag, flag.default) for flag in _own_flags() if flag.default is not None}


def _own_flags():
    return FLAGS.get_flags_for_module(sys.modules[_own_flags.__module__])


def _text(flag, value):
    # Not as `Flag.serialize` writes booleans, --flag and --noflag: a line of flags.cfg has a name and a text.
    return str(value).lower() if flag.boolean else flag.serializer.serialize(value)


# --- What is wrong with the flags is found before anything is loaded: absl asks these when it has read them.

_is_asked = True


@contextlib.contextmanager
def _unasked():
    """As long as the context lasts, flags are read that may not go together yet."""
    global _is_asked
    _is_asked = False
    try:
        yield
    finally:
        _is_asked = True


def _wrong(*names):
    """Registers a function of the values of some flags, which gives a line of what is wrong with them, or None."""

    def register(function):
        names_of_all = names or tuple(inspect.signature(function).parameters)

        def validate(values):
            line = function(*(values[name] for name in names_of_all)) if _is_asked else None
            if line:
                raise flags.ValidationError(line)
            return True

        flags.register_multi_flags_validator(names_of_all, validate)
        return function

    return register


@_wrong()
def _bits(method, w_bits, a_bits, g_bits):
    try:
        METHODS[method].resolve(w_bits, a_bits, g_bits)
    except ValueError as error:
        return f"--{error}"


def _option_of_a_method(option):
    @_wrong("method", option.name)
    def _(method, value):
        if value != option.default and option.name not in METHODS[method].flags:
            given = f"--{'no' if value is False else ''}{option.name}"
            return f"{given} is for --method={_either(METHODS, lambda each: option.name in each.flags)}; got --method={method}"


def _option_of_a_network(name):
    @_wrong("model", name)
    def _(model, value):
        if value is None:
            return None
        options = {option.name: option for option in NETWORKS[model].options}
        if name not in options:
            owners = _either(NETWORKS, lambda network: any(option.name == name for option in network.options))
            return f"--{name} is for --model={owners}; got --model={model}"
        refusal = options[name].refusal(value)
        return refusal and f"--{name}={value} {refusal}"


def _option_of_all(option):
    @_wrong(option.name)
    def _(value):
        refusal = None if value is None else option.refusal(value)
        return refusal and f"--{option.name}={value} {refusal}"


def _either(table, fits):
    return " or ".join(name for name, entry in table.items() if fits(entry))


for _option in OF_METHODS:
    _option_of_a_method(_option)
for _option in COMMON:
    _option_of_all(_option)
for _name in _OPTIONS:
    _option_of_a_network(_name)


@_wrong()
def _own_data(dataset, data_dir):
    if dataset in choices.OWN_DATA and not data_dir:
        return f"--dataset={dataset} needs --data_dir={choices.OWN_DATA[dataset]}"


@_wrong()
def _image_size(image_size, dataset):
    if image_size is None:
        return None
    if dataset != "folder":
        return f"--image_size is for --dataset=folder; got --dataset={dataset}"
    try:
        choices.image_size(image_size)
    except ValueError as error:
        return f"--{error}"


@_wrong()
def _stream(stream, dataset):
    if stream and dataset not in choices.OWN_DATA:
        return f"--stream is for --dataset=folder or npz; got --dataset={dataset}"


@_wrong()
def _lr(lr):
    return None if lr > 0 else f"--lr={lr} must be above 0"  # NaN neither


@_wrong()
def _synchronized_bn(synchronized_bn, distribute):
    if synchronized_bn and distribute != "mirrored":
        return f"--synchronized_bn is for --distribute=mirrored, elsewhere it is so; got --distribute={distribute}"


@_wrong()
def _milestones(milestones):
    if not all(epoch.isdecimal() and int(epoch) > 0 for epoch in milestones):
        return f"--milestones={','.join(milestones)} must be epochs with commas between, such as 50,75"


@_wrong()
def _export(export, method):
    for name in export:
        refusal = METHODS[method].refusal(FORMATS[name]) if name in FORMATS else f"is unknown; known are {', '.join(FORMATS)}"
        if refusal:
            return f"--export={name} {refusal}"


@_wrong()
def _init_from(init_from, evaluate):
    if init_from and not evaluate and not Path(init_from).exists():
        return f"--init_from={init_from}: there is no such file or directory"


@_wrong()
def _init_skip(init_skip, init_from):
    if init_skip and not init_from:
        return f"--init_skip={','.join(init_skip)} leaves out layers of --init_from, which is not given"


@_wrong()
def _teacher(teacher, evaluate):
    if teacher and not evaluate and not Path(teacher).exists():
        return f"--teacher={teacher}: there is no such file or directory"


@_wrong()
def _temperature(temperature, teacher):
    if not 0 < temperature < float("inf"):
        return f"--temperature={temperature} must be above 0 and finite"
    if temperature != _DEFAULT.temperature and not teacher:
        return f"--temperature={temperature} softens the scores of --teacher, which is not given"


@_wrong()
def _teacher_weight(teacher_weight, teacher):
    if not 0 < teacher_weight <= 1:
        return f"--teacher_weight={teacher_weight} must be above 0 and at most 1"
    if teacher_weight != _DEFAULT.teacher_weight and not teacher:
        return f"--teacher_weight={teacher_weight} is the share of --teacher, which is not given"


def choose_backend(log=print):
    """Set the backend by the flags; must run before Keras is imported.

    Raises:
        UsageError: the flags contradict each other, or the backend is not installed.
    """
    backend = _wanted_backend(log)
    if FLAGS.latent is False and backend == "tf_keras":
        raise UsageError("--nolatent needs Keras 3, which lets a variable get a constraint; got tf_keras")
    own = METHODS[FLAGS.method].package
    of_method = [(own, f"--method={FLAGS.method}")] if own else []
    for package, flag in [*of_method, (backend, f"--backend={backend}")]:  # the extra of the former brings tf_keras too
        if importlib.util.find_spec(package) is None:
            raise UsageError(optional.missing(package, flag))
    for needed, names in unfit(FLAGS.export, "tensorflow" if backend == "tf_keras" else backend).items():
        also = " or tf_keras" if "tensorflow" in needed else ""
        raise UsageError(f"--export={','.join(names)} needs --backend={' or '.join(needed)}{also}; got {backend}")
    if FLAGS.steps_per_execution > 1 and backend == "torch":
        raise UsageError(f"--steps_per_execution={FLAGS.steps_per_execution}: Keras knows 1 alone on --backend=torch")
    if FLAGS.distribute == "multiworker":
        raise UsageError(
            "--distribute=multiworker: fit of Keras 3.15 fails with MultiWorkerMirroredStrategy. Take --backend=jax "
            "--distribute=data_parallel for several machines, or --distribute=mirrored for the GPUs of one"
        )
    if backend not in choices.DISTRIBUTIONS[FLAGS.distribute]:
        fitting = [f"{name} on {' or '.join(of)}" for name, of in choices.DISTRIBUTIONS.items() if of and name != "none"]
        raise UsageError(f"--distribute={FLAGS.distribute} does not run on --backend={backend}: there is {', '.join(fitting)}")
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    os.environ["KERAS_BACKEND"] = backend
    if backend == "tf_keras":
        os.environ.update(TF_USE_LEGACY_KERAS="1", KERAS_BACKEND="tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return backend


def _wanted_backend(log):
    alone = METHODS[FLAGS.method].backend
    if alone:
        if FLAGS.backend not in (None, alone):
            raise UsageError(f"--method={FLAGS.method} runs on --backend={alone} alone; got --backend={FLAGS.backend}")
        return alone
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
    method = METHODS[FLAGS.method]
    path = FLAGS.run_dir or f"runs/{FLAGS.dataset}_{FLAGS.model}_{method.label(FLAGS.w_bits, FLAGS.a_bits, FLAGS.g_bits)}"
    return RunDirectory(path, suffix=method.checkpoint)


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
        with _unasked():  # those of the run may be needed too
            rest = FLAGS(argv)
        if len(rest) > 1:
            raise UsageError(f"unexpected argument {rest[1]!r}: flags are written --name=value")
        earlier = run_directory().flags
        if FLAGS.evaluate and earlier.exists():
            FLAGS.unparse_flags()
            given = [argument for argument in argv[1:] if not _names(argument, earlier)]
            FLAGS([argv[0], f"--flagfile={earlier}", "--export=", *given])
        FLAGS.validate_all_flags()
    except (flags.Error, UsageError) as error:
        die(_said(error))
    return argv[:1]


def _names(argument, flagfile):
    name, _, path = argument.partition("=")
    return name.lstrip("-") == "flagfile" and Path(path).resolve() == flagfile.resolve()


def _said(error):
    """The lines of the functions above, without the values of all flags that absl puts in front of each."""
    return "; ".join(re.sub(r"^flags .*?: (?=--)", "", line) for line in str(error).splitlines())


def die(error, status=2):
    """End with one line."""
    print(f"train.py: error: {one_line(error)}", file=sys.stderr, flush=True)
    _end(status)


def _end(status):
    """End the process, in a job of several at once: JAX would wait at the end for the others, and they for this one."""
    if _is_of_several() and status != STOPPED:
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def main(_):
    """Train, or test, by the flags."""
    directory = run_directory()
    try:
        with _terminating():
            _run(directory)
    except (KeyboardInterrupt, Exception) as error:
        interrupt = _interrupt(error)
        if interrupt is None:
            if not _is_of_several():
                raise
            traceback.print_exc()
            _end(1)
        is_terminated = isinstance(interrupt, Terminated)
        said = _interrupted(directory, "stopped by SIGTERM" if is_terminated else "interrupted")
        die(said, status=STOPPED if is_terminated else INTERRUPTED)


class Terminated(KeyboardInterrupt):
    """SIGTERM where there is no step to wait for: while data are loaded, in an export."""


@contextlib.contextmanager
def _terminating():
    """Inside, SIGTERM raises `Terminated`, but while the network trains; the context of that is of its own."""

    def terminate(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(directory):
    try:
        backend = choose_backend()
        if not FLAGS.evaluate and _is_chief():
            claim(directory, backend)
        # Imported here: the backend had to be chosen first.
        from tfq.cli import program
        from tfq.distribute import WorkerLost, sigterm
    except (UsageError, RunDirectoryError, ImportError, ValueError) as error:  # the last of a keras.json that Keras cannot read
        die(error)
    try:
        with models.reading(FLAGS.method):
            program.run(config(), backend, directory, models.build)
    except RunDirectoryError as error:  # as above: the directory is another run's
        die(error)
    except sigterm.Preempted as error:
        die(f"{error}; {_way_on(directory)}", status=STOPPED)
    except WorkerLost as error:
        die(f"{error}; {_way_on(directory)}, on all workers", status=1)
    except program.ERRORS as error:
        die(error, status=1)


def _is_chief():
    """Whether this process is the first of its job: it alone writes the directory, before the others have joined it."""
    return FLAGS.distribute != "data_parallel" or int(os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "0")) == 0


def _is_of_several():
    is_parallel = FLAGS.is_parsed() and FLAGS.distribute == "data_parallel"
    return is_parallel and os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1") != "1"


def _interrupt(error):
    # Where it comes while TensorFlow traces a function, Keras raises an error of its own from it.
    if error is None or isinstance(error, KeyboardInterrupt):
        return error
    return _interrupt(error.__cause__ or error.__context__)


def _interrupted(directory, what):
    if FLAGS.evaluate:
        return what
    if directory.has_checkpoint():
        return f"{what}; {_way_on(directory)}"
    return f"{what} before the first checkpoint in {directory.path}: the same command starts over"


def _way_on(directory):
    command = "the same command" if FLAGS.resume else "the same command without --noresume"
    return f"{command} goes on from the last checkpoint in {directory.path}"


def command():
    """The whole process. A SIGTERM that comes while Python ends changes nothing: the exit status says how the run ended."""
    try:
        app.run(main, flags_parser=parse)
    finally:
        if not _is_of_several():  # there JAX may wait for others, and listens for the signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    command()
