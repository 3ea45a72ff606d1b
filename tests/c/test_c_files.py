"""What is written: names, sizes, limits."""

import json

import numpy as np
import pytest
import runtime_networks as networks

from tfq import c
from tfq.c import limits
from tfq.cli import main
from tfq.graph import file
from tfq.graph import nodes as g


@pytest.fixture(scope="module")
def graph():
    return networks.small_network(np.random.default_rng(0))


def test_the_same_network_gives_the_same_bytes(graph, tmp_path):
    first, second = (c.write(graph, tmp_path / name, "net") for name in "ab")
    assert [path.name for path in first.paths] == ["net.c", "net.h", "net.json", "net_example.c"]
    for one, other in zip(first.paths, second.paths, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_manifest(tmp_path):
    kernel = networks.oracle.pack(np.ones((3, 3, 32, 16)), "binary")
    graph = networks.one(g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign()), (4, 5, 32))
    found = json.loads(c.write(graph, tmp_path, "net").paths[2].read_text())
    assert found["macs"] == {"1x1 bits": 20 * 16 * 9 * 32}
    # The bits of the input, what each of 9 taps of 16 filters sums to, and 3 rows of 5 pixels with a margin.
    assert found["ram"]["arena"] == 20 * 4 + (9 * 16 + 3 * 7) * 4 + 12
    assert found["ram"]["total"] == found["ram"]["arena"] + 4 * 640 + 4 * 320
    assert found["flash"]["constants"] >= 9 * 16 * 4 + 2 * 16 * 4


def test_limits(graph, tmp_path):
    with pytest.raises(c.TooLarge, match=r"the network needs .* bytes of constants and code, where flash=1,024"):
        c.write(graph, tmp_path, flash=1024)
    assert not list(tmp_path.iterdir())
    assert limits.size("256K") == 256 * 1024
    assert limits.size("12") == 12
    with pytest.raises(ValueError, match=r"such as 256K; got '3\.5M'"):
        limits.size("3.5M")


def test_a_name_that_c_does_not_take(graph, tmp_path):
    with pytest.raises(ValueError, match="got '2x'"):
        c.write(graph, tmp_path, "2x")


def test_command(graph, tmp_path, capsys):
    file.write(graph, tmp_path / "my-net.tfq")
    assert main.main(["export", str(tmp_path / "my-net.tfq"), "--formats=c", f"--out={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out" / "my_net.c").is_file()
    assert "bytes of arena" in capsys.readouterr().out
    assert main.main(["export", str(tmp_path / "my-net.tfq"), "--formats=c", "--ram=1K", f"--out={tmp_path / 'no'}"]) == 1
    assert "where ram=1,024" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_labels_of_any_characters(tmp_path):
    graph = g.Graph((2,), (g.ReLU("relu", ("input",)),), labels=('say "hi"??/', "Käse"))
    text = c.write(graph, tmp_path, "net").paths[0].read_text()
    assert r'{"say \042hi\042\077\077/", "K\303\244se"}' in text
