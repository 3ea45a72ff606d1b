#!/usr/bin/env bash
# Once larq is imported, tf_keras reads a layer of another package, inside a wrapper, as larq's layer of the same class name.
#
# A class that is registered as "mine>QuantDense" is stored with that name, and a model that holds it loads as it was saved. Inside
# TimeDistributed (or another wrapper) only the bare class name counts when the model is read: larq has put its own QuantDense into the
# global table of custom objects under the bare name, and the layer comes back as larq's. `custom_objects=` of `load_model` does not
# change that, though it works before the import. The other class takes the configuration if its arguments have the same names.
#
# Versions: TensorFlow and tf_keras 2.21.0, larq 0.14.0. Source: tf_keras/src/layers/rnn/base_wrapper.py looks for "module" in the
# configuration of the wrapper, which has none, and so reads the layer inside in the legacy format, by class name; larq/utils.py
# registers its classes by their bare names.
# For low-bit networks: every library of this field calls its layers QuantConv2D and QuantDense. Whoever compares two of them in one
# process reads one's models with the other's layers. tfq reads such a file a second time with its own names in the table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 tf_keras==2.21.0 larq==0.14.0 numpy==1.26.4
cd "$folder"
cat > finding.py <<'PYTHON'
import tf_keras as keras


@keras.saving.register_keras_serializable(package="mine")
class QuantDense(keras.layers.Dense):
    """A layer of another package than larq."""

    def __init__(self, units, input_quantizer=None, kernel_quantizer=None, **kwargs):
        super().__init__(units, **kwargs)


def read(layer, **options):
    """The class that a layer, or the layer in a wrapper, has after saving and loading."""
    keras.Sequential([keras.Input((4, 3)), layer]).save("model.keras")
    last = keras.models.load_model("model.keras", compile=False, **options).layers[-1]
    return type(getattr(last, "layer", last))


def name(kind):
    return f"{kind.__module__}.{kind.__name__}"


wrapped = keras.layers.TimeDistributed
before = read(wrapped(QuantDense(2)), custom_objects={"QuantDense": QuantDense})
import larq  # noqa: E402

alone, inside = read(QuantDense(2)), read(wrapped(QuantDense(2)))
given = read(wrapped(QuantDense(2)), custom_objects={"QuantDense": QuantDense})
print("tf_keras", keras.__version__, "larq", larq.__version__ if hasattr(larq, "__version__") else "0.14.0")
for text, kind in (
    ("in a wrapper, with custom_objects, before larq is imported", before),
    ("alone, after it", alone),
    ("in a wrapper, after it", inside),
    ("in a wrapper, with custom_objects, after it", given),
):
    print(f"saved __main__.QuantDense, {text}: loaded {name(kind)}")
raise SystemExit(not (before is alone is QuantDense and inside is given is larq.layers.QuantDense))
PYTHON
TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" finding.py 2>errors.txt || { status=$?; tail -5 errors.txt >&2; exit $status; }
