"""Curves of runs: what is drawn, and what is said where nothing can be."""

import re
import subprocess
import sys

import matplotlib.image
import pytest
from running import slow_marks

from tfq import plot

pytestmark = slow_marks("tf_keras", "jax")  # the same on every backend

HEADER = "epoch,loss,top1,val_loss,val_top1,learning_rate\n"


def make_run(directory, epochs=3, text=None):
    directory.mkdir(parents=True)
    rows = "".join(f"{epoch},2.0,{0.1 + 0.05 * epoch},2.1,{0.1 + 0.04 * epoch},0.1\n" for epoch in range(epochs))
    (directory / "history.csv").write_text(HEADER + rows if text is None else text)
    return directory


def drawn(run_dirs):
    """The figure that `plot.curves` would write."""
    return plot._draw(list(zip(plot._labels(run_dirs), map(plot._read, run_dirs), strict=True)))


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_lines_are_the_accuracies_in_percent(tmp_path):
    train, test = drawn([make_run(tmp_path / "xnor")]).axes
    assert (train.get_title(), test.get_title()) == ("train", "test")
    assert list(train.get_lines()[0].get_xdata()) == [0, 1, 2]
    assert list(train.get_lines()[0].get_ydata()) == pytest.approx([10, 15, 20])
    assert list(test.get_lines()[0].get_ydata()) == pytest.approx([10, 14, 18])


def test_legend_names_each_run_and_its_last_epoch(tmp_path):
    (legend,) = drawn([make_run(tmp_path / "xnor"), make_run(tmp_path / "float", 5)]).legends
    assert texts(legend) == ["xnor  20.0 / 18.0", "float  30.0 / 26.0"]


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [make_run(tmp_path / "seed0" / "xnor"), make_run(tmp_path / "seed1" / "xnor")]
    assert plot._labels(runs) == ["seed0/xnor", "seed1/xnor"]


@pytest.mark.parametrize("name", ["run", "a_run_with_quite_a_long_name", "x" * 100])
def test_many_runs_differ_in_colour_or_line_and_nothing_is_cut_off(tmp_path, name):
    figure = drawn([make_run(tmp_path / f"{name}_{i}") for i in range(24)])
    lines = figure.axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 24
    figure.draw_without_rendering()
    legend, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= legend.x0
    assert legend.x1 <= page.x1
    assert page.y0 <= legend.y0
    assert legend.y1 < min(axes.get_window_extent().y0 for axes in figure.axes)


@pytest.mark.parametrize("epochs", [1, 100])
def test_picture_is_written_and_replaces_an_older_one(tmp_path, epochs):
    run, out = make_run(tmp_path / "run", epochs), tmp_path / "curves.png"
    out.write_text("old")
    plot.curves([run], out)
    picture = matplotlib.image.imread(out)
    assert picture.shape[1] == 1440
    assert picture[..., :3].min() < 0.5 < picture[..., :3].mean()  # ink on white
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "run"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no epoch"),
        (HEADER, "holds no epoch"),
        ("epoch,top1\n0,0.1\n", "has no column 'val_top1'"),
        (HEADER + "0,2.0,0.1", "cannot be read as a history"),
        (HEADER + "0,2.0,half,2.1,0.1,0.1\n", "could not convert string to float: 'half'"),
    ],
)
def test_damaged_history_is_refused(tmp_path, text, message):
    run = make_run(tmp_path / "run", text=text)
    with pytest.raises(plot.PlotError, match=message):
        plot.curves([run], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_command(tmp_path):
    run, out = make_run(tmp_path / "run"), tmp_path / "both.png"
    command = [sys.executable, "-m", "tfq.plot", f"--out={out}", str(run), str(make_run(tmp_path / "other"))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{out}\n", "")
    assert out.exists()


@pytest.mark.parametrize(
    ("run", "out", "message"),
    [
        ("nowhere", "curves.png", "nowhere is not a directory"),
        ("", "curves.png", "has no history.csv"),
        ("run", "missing/curves.png", "cannot write .*missing/curves.png: No such file or directory"),
        ("run", "curves.xyz", "cannot write .*curves.xyz: Format 'xyz' is not supported"),
    ],
)
def test_command_explains_in_one_line(tmp_path, capsys, run, out, message):
    make_run(tmp_path / "run")
    assert plot.main([f"--out={tmp_path / out}", str(tmp_path / run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(f"^python -m tfq.plot: error: .*{message}", line)
    with pytest.raises(plot.PlotError, match=message):
        plot.curves([tmp_path / run], tmp_path / out)
