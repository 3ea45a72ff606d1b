"""What is shown of a constructor that passes on what it does not know itself."""

import inspect
from typing import Any

from tfq.backend.keras import keras

_PASSED_ON = [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]


class ConstructorSignature:
    """`__signature__` of a class in front of a layer of Keras: the arguments of that layer, then those of the classes before it.

    `inspect.signature`, `help` and notebooks read it. A class with a constructor that does not pass on all that it is given
    (`*args` and `**kwargs`) is shown as that is written. Objects have none, since theirs is that of a call.
    """

    def __get__(self, layer: Any, cls: type) -> inspect.Signature:
        of_keras = next((base for base in cls.__mro__ if _is_of_keras(base)), None)
        if layer is not None or of_keras is None:
            raise AttributeError("__signature__")
        own: dict[str, inspect.Parameter] = {}
        for base in cls.__mro__[: cls.__mro__.index(of_keras)]:
            if "__init__" in vars(base):
                parameters = _parameters(base)
                if [parameter.kind for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY] != _PASSED_ON:
                    raise AttributeError("__signature__")
                named = {parameter.name: parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
                if "input_quantizer" in named:
                    named = _with_kernels(named, cls)
                own = {**named, **own}
        theirs = [parameter for parameter in _parameters(of_keras) if parameter.name not in own]
        others = [theirs.pop()] if theirs[-1].kind is inspect.Parameter.VAR_KEYWORD else []
        # Without the types, which are long, and which those of Keras lack.
        return inspect.Signature(
            [*theirs, *(parameter.replace(annotation=parameter.empty) for parameter in own.values()), *others]
        )


def _with_kernels(named, cls):
    """The arguments of `QuantizedLayer`; those for its kernels, which each class names, stand behind the one for its inputs."""
    places = [place.quantizer for place in cls.kernel_places()]
    first = {name: named["input_quantizer"].replace(name=name) for name in ["input_quantizer", *places]}
    return {**first, **{name: parameter for name, parameter in named.items() if name != "kernel_quantizer" or name in first}}


def _is_of_keras(base):
    is_ours = isinstance(inspect.getattr_static(base, "__signature__", None), ConstructorSignature)
    return issubclass(base, keras.layers.Layer) and not is_ours


def _parameters(base):
    """Of the constructor, but for `self`."""
    return list(inspect.signature(base.__init__).parameters.values())[1:]
