"""Every public name of larq resolves in tfq.larq, or stands in the migration table of docs/from-larq.md with the reason."""

import inspect
import re

import larq
import pytest
from conftest import ROOT

import tfq.larq

pytestmark = pytest.mark.legacy_only

PAGE = (ROOT / "docs" / "from-larq.md").read_text()


def names():
    """(module, name) of all that larq's modules define or say to be public."""
    for module_name in larq.__all__:
        module = getattr(larq, module_name)
        own = {name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
        for name in sorted(own | set(getattr(module, "__all__", ()))):
            if not name.startswith("_") and not isinstance(getattr(module, name), type(inspect)):
                yield module_name, name


def test_all_modules_are_named():
    assert set(larq.__all__) == set(tfq.larq.__all__)


@pytest.mark.parametrize(("module", "name"), list(names()))
def test_each_name(module, name):
    there = hasattr(getattr(tfq.larq, module), name)
    row = re.search(rf"^\| `{module}\.{name}` \|.+\| *(\S.*) \|$", PAGE, re.M)
    assert there or row, f"larq.{module}.{name} is neither in tfq.larq nor in the table"
    if not there:
        assert len(row.group(1)) > 20, f"the table gives no reason for larq.{module}.{name}"


def test_what_the_table_leaves_out_is_not_there():
    for module, name in re.findall(r"^\| `(\w+)\.(\w+)` \| none \|", PAGE, re.M):
        assert not hasattr(getattr(tfq.larq, module), name)


def test_each_string_is_known_to_the_layers():
    strings = {
        name
        for name, found in larq.utils.tf.keras.utils.get_custom_objects().items()
        if getattr(found, "__module__", "") == "larq.quantizers" and name != "NoOp"
    }
    assert len(strings) == 14
    for name in strings:
        layer = tfq.larq.layers.QuantDense(3, kernel_quantizer=name, kernel_constraint="weight_clip")
        assert layer.kernel_quantizer.precision == larq.quantizers.get(name).precision
        assert type(tfq.larq.quantizers.get(name)).__name__ == type(larq.quantizers.get(name)).__name__


@pytest.mark.parametrize("name", [name for module, name in names() if module == "quantizers" and name[0].isupper()])
def test_each_takes_the_arguments_of_larqs(name):
    def arguments(module):
        found = inspect.signature(getattr(module.quantizers, name))
        return {n: p.default for n, p in found.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}

    theirs = arguments(larq)
    theirs = {n: default for n, default in theirs.items() if n not in ("trainable", "name", "dtype", "dynamic")}
    if name in ("ApproxSign", "Quantizer"):
        return
    options = {n: p.default for n, p in inspect.signature(getattr(tfq.larq.quantizers, name).__init__).parameters.items()}
    assert theirs.items() <= options.items() or "args" in options
