"""What is shown of the constructors of layers: to `inspect`, which notebooks ask, and to editors, which read the source."""

import ast
import inspect
import textwrap

import pytest

from tfq import layers
from tfq.backend.keras import keras

OPERANDS = ["input_quantizer", "kernel_quantizer", "gradient_quantizer"]
PADDED = [*OPERANDS, "pad_values"]
OF_TWO = ["input_quantizer", "depthwise_quantizer", "pointwise_quantizer", "gradient_quantizer", "pad_values"]
OWN = {
    "QuantConv1D": PADDED,
    "QuantConv1DTranspose": OPERANDS,
    "QuantConv2D": [*PADDED, "kmap"],
    "QuantConv2DTranspose": OPERANDS,
    "QuantConv3D": PADDED,
    "QuantConv3DTranspose": OPERANDS,
    "QuantDense": OPERANDS,
    "QuantDepthwiseConv1D": PADDED,
    "QuantDepthwiseConv2D": PADDED,
    "QuantEinsumDense": OPERANDS,
    "QuantSeparableConv1D": OF_TWO,
    "QuantSeparableConv2D": OF_TWO,
}


class Small(layers.QuantConv2D):
    """Has a constructor of its own, that says all there is to say."""

    def __init__(self, filters, **kwargs):
        super().__init__(filters, 3, **kwargs)


class Marked(layers.QuantDense):
    """Adds an argument, and passes the others on."""

    def __init__(self, *args, mark=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.mark = mark


@pytest.mark.parametrize("name", OWN)
def test_a_signature_shows_the_arguments_of_keras_and_those_of_tfq(name):
    cls = getattr(layers, name)
    *of_keras, others = inspect.signature(cls.stock_class().__init__).parameters.values()
    shown = inspect.signature(cls).parameters
    assert list(shown) == [*(parameter.name for parameter in of_keras[1:]), *OWN[name], others.name]
    for parameter in of_keras[1:]:
        assert shown[parameter.name] == parameter
    for own in OWN[name]:
        assert shown[own].kind is inspect.Parameter.KEYWORD_ONLY
        assert shown[own].default == inspect.signature(cls.__init__).parameters.get(own, shown[own]).default
    with pytest.raises(TypeError):
        inspect.signature(cls).bind()  # the first one of Keras has no default


def constructor_of(cls):
    """The constructor that stands first in the text of a class, or None."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    return next(found, None)


@pytest.mark.parametrize("name", OWN)
def test_editors_are_told_all_arguments_of_tfq(name):
    cls = getattr(layers, name)
    declared = next(filter(None, map(constructor_of, cls.__mro__)))  # the one that an editor finds first
    shown = inspect.signature(cls).parameters
    assert [argument.arg for argument in declared.args.kwonlyargs] == OWN[name]
    assert [ast.literal_eval(default) for default in declared.args.kw_defaults] == [shown[own].default for own in OWN[name]]


def test_classes_of_ones_own_show_theirs():
    assert list(inspect.signature(Small).parameters) == ["filters", "kwargs"]
    *_, quantizer, mark, _ = inspect.signature(Marked).parameters
    assert (quantizer, mark) == ("gradient_quantizer", "mark")
    assert list(inspect.signature(layers.QuantizedConvolution).parameters) == ["args", "pad_values", "kwargs"]


def test_a_layer_itself_has_the_signature_of_its_call():
    layer = layers.QuantDense(2, kernel_quantizer="xnor_weights")
    assert not hasattr(layer, "__signature__")
    assert "units" not in inspect.signature(layer).parameters
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is layers.QuantDense
    assert again.get_config() == layer.get_config()
