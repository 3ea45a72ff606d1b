"""What commands show."""

import io
import sys

from tfq import terminal


def test_an_error_of_several_lines_becomes_one():
    assert terminal.one_line(ValueError("a\n  b\tc")) == "a b c"


def test_a_table_aligns_texts_left_and_numbers_right():
    lines = terminal.table(("layer", "bits"), [("conv", 1), ("a_long_name", 32)]).splitlines()
    assert lines == ["layer        bits", "conv            1", "a_long_name    32"]
    assert terminal.table(("n", "by"), [(5, "popcount"), (10, "")], align="rl").splitlines() == [" n  by", " 5  popcount", "10"]


def test_names_come_through_as_they_are():
    names = ["[bold]x[/bold]", ":smile:", "größe", "x" * 300]
    assert [line.strip() for line in terminal.table(("",), [(name,) for name in names]).splitlines()[1:]] == names


def test_progress_is_silent_where_there_is_no_terminal(capsys):
    with terminal.progress("measuring", 2) as done:
        done(1)
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_on_a_terminal(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    with terminal.progress("measuring", 2) as done:
        done(2)
    assert "measuring" in stream.getvalue()
    assert "2/2" in stream.getvalue()
