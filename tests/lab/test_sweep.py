"""The sweep: what it plans, what it leaves behind, and that it goes on where it was stopped."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from running import BACKEND, ROOT, SLICE, TINY

from lab.sweep import __main__ as command
from lab.sweep import plan, process, questions, result, run, table, zoo
from lab.sweep.goals import GOALS
from lab.sweep.plan import Settings
from lab.sweep.recipes import RECIPES
from tfq import plot

pytestmark = pytest.mark.keras3_only
once = pytest.mark.tensorflow_only


def names(jobs):
    return [(job.settings.folder, job.row.name, job.seed) for job in jobs]


def flags_of(name, **settings):
    (job,) = [job for job in plan.jobs(Settings(**{"recipe": "short", **settings})) if job.row.name == name]
    return job.flags()


# What is planned.


@once
def test_low_bit_rows_of_resnet20_start_from_its_float_row_and_goals_are_of_rows():
    for name in ("short", "full"):
        rows = {row.name: row for row in RECIPES[name].rows}
        assert len(rows) == len(RECIPES[name].rows)
        assert "resnet20/float" in rows
        for row in rows.values():
            starts = row.network == "resnet20" and row.method != "float"
            assert (row.parent, row.parent_recipe or name) == ("float" if starts else None, "short" if starts else name)
        assert {row for row, goal in GOALS.items() if getattr(goal, name)} <= {*rows}


@once
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_row_is_a_command_that_train_py_takes(recipe, tmp_path):
    code = "import sys, train\nfor line in sys.stdin: train.FLAGS.unparse_flags(); train.parse(['train.py', *line.split()])"
    settings = Settings(recipe, backend="jax", run_root=tmp_path, results=tmp_path)
    jobs = plan.jobs(settings)
    for job in jobs:
        if job.parent:
            job.parent.weights.parent.mkdir(parents=True, exist_ok=True)
            job.parent.weights.touch()
    commands = "\n".join(" ".join(job.flags()) for job in jobs)
    checked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=commands, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


@once
def test_flags_of_a_row_with_a_parent():
    assert flags_of("resnet20/dorefa_a2w2", backend="jax", extra=("--data_dir=x",)) == [
        "--flagfile=configs/dorefa_a2w2.cfg",
        "--epochs=12",
        "--bfloat16",
        "--seed=0",
        "--init_from=results/sweep/short/weights/resnet20_float_seed0.npz",
        "--backend=jax",
        "--data_dir=x",
        "--run_dir=runs/sweep/short/resnet20_dorefa_a2w2_seed0",
    ]
    g6 = flags_of("resnet20/dorefa_a1w2g6", recipe="full")
    assert g6[:2] == ["--flagfile=configs/dorefa_g.cfg", "--g_bits=6"]
    assert "--init_from=results/sweep/short/weights/resnet20_float_seed0.npz" in g6  # of the other recipe
    assert "--width=1" in flags_of("resnet20_272k/xnor", recipe="full")


@once
def test_seeds_come_in_turn_and_parents_first():
    jobs = plan.jobs(Settings("short"), ["resnet20/xnor", "nin/x*"], seeds=[0, 3])
    assert names(jobs) == [
        ("short", "resnet20/float", 0),
        ("short", "resnet20/xnor", 0),
        ("short", "nin/xnor", 0),
        ("short", "resnet20/float", 3),
        ("short", "resnet20/xnor", 3),
        ("short", "nin/xnor", 3),
    ]
    assert jobs[1].parent is jobs[0]
    assert jobs[4].parent is jobs[3]


@once
def test_held_out_runs_stand_apart_and_so_do_their_parents():
    jobs = plan.jobs(Settings("short", holdout=5000), ["resnet20/xnor"])
    assert {job.settings.folder for job in jobs} == {"short_holdout5000"}
    assert all("--holdout=5000" in job.flags() for job in jobs)  # else the float run had seen the images that choose


@once
def test_a_parent_of_another_recipe_is_trained_there():
    extra = ("--lr=0.001", "--data_dir=x")
    parent, child = plan.jobs(Settings("full", holdout=50, tag="slow", extra=extra), ["resnet20/xnor"])
    assert (parent.settings.folder, child.settings.folder) == ("short_holdout50", "full_holdout50_slow")
    assert child.parent is parent
    assert parent.is_parent
    assert not child.is_parent
    assert "--epochs=12" in parent.flags()
    assert "--lr=0.001" not in parent.flags()
    assert "--data_dir=x" in parent.flags()
    assert f"--init_from={parent.weights}" in child.flags()
    (own,) = plan.jobs(Settings("full"), ["resnet20/float"])  # which no row starts from
    assert not own.is_parent


@once
def test_a_variant_starts_from_the_plain_parent_unless_that_is_asked_for_too():
    settings = Settings("short", tag="slow", extra=("--lr=0.001", "--data_dir=x"))
    plain, variant = plan.jobs(settings, ["resnet20/xnor"])
    assert names([plain, variant]) == [("short", "resnet20/float", 0), ("short_slow", "resnet20/xnor", 0)]
    assert "--lr=0.001" not in plain.flags()
    assert "--data_dir=x" in plain.flags()
    both = plan.jobs(settings, ["resnet20/float", "resnet20/xnor"])
    assert {job.settings.folder for job in both} == {"short_slow"}


@once
def test_a_network_of_another_shape_does_not_start_from_the_plain_parent():
    narrow = Settings("full", tag="narrow", extra=("--width=1",))
    with pytest.raises(plan.PlanError, match="--width=1 makes another network than that of short resnet20/float seed 0"):
        plan.jobs(narrow, ["resnet20/xnor"])
    (scratch,) = plan.jobs(replace(narrow, extra=("--width=1", "--init_from=")), ["resnet20/xnor"])
    assert scratch.parent is None
    both = plan.jobs(replace(narrow, recipe="short"), ["resnet20/float", "resnet20/xnor"])
    assert both[1].parent is both[0]


@once
def test_weights_of_ones_own_need_no_parent():
    (job,) = plan.jobs(Settings("short", tag="mine", extra=("--init_from=mine.npz",)), ["resnet20/xnor"])
    assert [flag for flag in job.flags() if "init_from" in flag] == ["--init_from=mine.npz"]


SLIPS = {
    "--recipe=long": "long",
    "--recipe=short --rows=resnet20/nonsense": "--rows=resnet20/nonsense is no row of recipe short; its rows are resnet20/float",
    "--recipe=short --seeds=0,x": "must be an integer of 0 or more; got 'x'",
    "--recipe=short --hours=0": "--hours",
    "--recipe=short --holdout=-1": "--holdout",
    "--recipe=short --at_once=0": "must be an integer of 1 or more; got '0'",
    "--recipe=short --tag=a/b": "--tag=a/b",
    "--recipe=short -- --lr=0.1": "name them, --tag=NAME",
    "--recipe=short --tag=x -- --seed=1": "--seed=1 cannot stand behind --",
    "--recipe=short --tag=x -- --noresume": "--noresume cannot stand behind --",
    "--recipe=short --tag=x -- lr=0.1": "'lr=0.1' is no flag",
    "--recipe=short --backend=caffe": "caffe",
    "table nowhere.md": "there is no file nowhere.md",
    "table LICENSE": "LICENSE must have <!-- accuracy -->",
    "table --results=nowhere": "--results=nowhere is no directory",
    "table --results=results/sweep/short": "--results=results/sweep/short has no results",
    "tabel": "unknown command 'tabel'; known are table, zoo, questions",
    "--recipe=short --tag=holdout5000": "--tag=holdout5000",
    "--recipe=short --rows=,": "names no row",
    "--recipe=short --rows=resnet20/float --results=LICENSE/x --run_root=/dev/null": "of --run_root: Not a directory",
}


def sweep(*arguments, cwd=ROOT, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    line = [sys.executable, "-m", "lab.sweep", *arguments]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **options)


@once
@pytest.mark.parametrize("arguments", SLIPS)
def test_a_slip_is_one_line(arguments, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(process, "end_on_sigterm", lambda: None)
    try:
        status = command.main(arguments.split())
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert SLIPS[arguments] in capsys.readouterr().err


@once
def test_outside_of_a_checkout(tmp_path):
    made = sweep("--recipe=short", cwd=tmp_path)
    assert made.returncode == 2
    assert made.stderr == "error: python -m lab.sweep runs train.py with configs/: call it in a checkout of tfq\n"


@once
def test_it_loads_neither_keras_nor_the_networks():
    heavy = ("keras", "tensorflow", "jax", "models.scheme")
    code = f"import sys, lab.sweep.__main__; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# What is done, without training: the results are there, or the time is up.


def made(model="resnet20", method="xnor", seed=0, final=80.0, **others):
    curve = [10.0, final]
    return {
        **{"model": model, "method": method, "recipe": "short", "tag": "", "holdout": 0, "seed": seed},
        **{"epochs": 12, "parent_epochs": 12, "hardware": "2 cores of X", "backend": "tensorflow", "seconds": 60.0},
        **{"final_top1": final, "best_top1": final + 1, "best_epoch": 1, "stopped": None, "flags": {}},
        **{"curves": {"train_top1": curve, "test_top1": curve}},
        **others,
    }


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return Settings("short", run_root=tmp_path / "runs", results=tmp_path / "results")


@once
def test_the_backend_that_reads_a_run_is_its_last():
    assert result.last_backend(made(backend="jax, then tensorflow")) == "tensorflow"
    assert result.last_backend(made()) == "tensorflow"


def test_a_run_of_another_machine_is_packed_with_what_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    foreign = next((name for name in ("torch", "jax", "tensorflow") if importlib.util.find_spec(name) is None), None)
    if foreign is None:
        pytest.skip("every backend is installed")
    missing = tmp_path / "last.keras"
    arguments = "tfq.cli", "weights", str(missing), str(tmp_path / "out.npz")
    with pytest.raises(run.JobError, match=f"^cannot: tfq weights: error: .*{missing}"):  # and not that the backend is missing
        run._call(made(backend=foreign), "cannot", process.Limits(), *arguments)


@once
def test_no_time_starts_nothing(settings):
    lines = []
    assert run.sweep(plan.jobs(settings), seconds=0, log=lines.append) == run.TIME_IS_UP == 3
    assert lines == ["==> Time is up with 18 of 18 runs to finish: the same command goes on"]
    assert not settings.run_root.exists()


@once
def test_finished_runs_are_passed_by_whatever_the_time(settings):
    jobs = plan.jobs(settings, ["nin/xnor"])
    flags = {"method": "xnor", "model": "nin", "epochs": "12", "bfloat16": "true", "seed": "0"}
    result.write(jobs[0].result, made("nin", final=71.5, flags=flags))
    lines = []
    assert run.sweep(jobs, seconds=0, log=lines.append) == run.DONE
    assert lines[0] == "==> short nin/xnor seed 0: final 71.50 %, best 72.50 % (epoch 1) (finished before)"
    result.write(jobs[0].result, made("nin", final=71.5, flags={**flags, "epochs": "8"}))
    run.sweep(jobs, seconds=0, log=lines.append)
    assert "with --epochs=8 where now --epochs=12 stands" in lines[2]


@once
def test_without_its_parent_a_run_is_left_out_and_the_others_go_on(settings):
    float_run, *_ = jobs = plan.jobs(settings, ["resnet20/*"])
    lines = []
    result.write(float_run.result, made(method="float", flags=float_run.values()))
    assert run.sweep(jobs, log=lines.append) == run.FAILED
    assert len(lines) == len(jobs) + 1
    assert all(f"are neither in {float_run.weights} nor in" in line for line in lines[1:-1])
    result.write(float_run.result, made(method="float", stopped="the loss became nan", flags=float_run.values()))
    assert run.sweep(jobs, log=lines.append) == run.FAILED
    assert "which was stopped: the loss became nan" in lines[-2]


@once
def test_a_run_with_other_flags_in_the_directory_is_not_taken_for_the_job(settings):
    (job,) = plan.jobs(settings, ["nin/xnor"])
    job.run_dir.mkdir(parents=True)
    (job.run_dir / "flags.cfg").write_text("--lr=0.7\n")
    (job.run_dir / "summary.json").write_text('{"epochs": 12, "stopped": null}')
    lines = []
    assert run.sweep([job], log=lines.append) == run.FAILED
    assert "train.py ended with status 2" in lines[1]
    assert "of the run in" in lines[1]
    assert not job.result.exists()


@once
def test_numbers_that_mean_the_same_are_no_change(settings):
    (job,) = plan.jobs(settings, ["resnet20/float"])
    assert result.changes(job, made(flags={**job.values(), "weight_decay": "0.005"})) == []
    changed = result.changes(job, made(flags={**job.values(), "weight_decay": "0.05"}))
    assert changed == [("--weight_decay=0.05", "--weight_decay=5e-3")]


# From results to the table.


def rows_of(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@once
def test_table_has_every_row_and_what_is_not_there_is_a_dash():
    rows = rows_of(table.markdown([made(seed=0, final=84.0), made(seed=1, final=86.0)]))
    assert len(rows) == 2 * 2 + 18 + 23
    assert rows[2] == ["resnet20", "float", "93.45", "91.0", *["-"] * 8]
    assert rows[3] == [
        *("resnet20", "xnor", "80.60", "84.0", "**85.00 ± 1.41**", "86.00 ± 1.41", "12", "12", "0, 1", "2 cores of X", "-", "-")
    ]
    assert [row[1] for row in rows[20:]].count("xnor") == 3


@once
def test_a_goal_missed_by_a_hair_is_not_bold_and_a_stopped_run_says_so():
    nothing = {"final_top1": None, "best_top1": None, "stopped": "the loss became nan"}
    rows = rows_of(table.markdown([made(final=83.99), {**made(method="ternary"), **nothing}]))
    assert rows[3][4:6] == ["83.99", "84.99"]
    assert rows[4][4:6] == ["- (stopped)", "-"]
    assert rows_of(table.markdown([made(final=84.0)]))[3][4] == "**84.00**"


@once
def test_variants_are_rows_of_their_own():
    rows = rows_of(table.markdown([made(final=85.0), made(final=70.0, tag="slow")]))
    assert [row[1:2] + row[4:5] for row in rows[3:5]] == [["xnor", "**85.00**"], ["xnor, slow", "70.00"]]
    alone = rows_of(table.markdown([made(final=70.0, tag="slow")]))
    assert [row[1:2] + row[4:5] for row in alone[3:5]] == [["xnor", "-"], ["xnor, slow", "70.00"]]


@once
def test_held_out_results_never_reach_the_table(tmp_path):
    result.write(tmp_path / "short_holdout5000" / "a.json", made(final=99.0, holdout=5000))
    result.write(tmp_path / "short" / "b.json", made(final=80.0))
    assert [one["final_top1"] for one in result.read_final(tmp_path)] == [80.0]


@once
def test_damaged_result_is_named(tmp_path):
    result.write(tmp_path / "short" / "a.json", {"model": "resnet20"})
    with pytest.raises(result.ResultError, match=r"a\.json has no method, recipe"):
        result.read_final(tmp_path)
    for name, value in {"final_top1": "89", "flags": None, "curves": {"test_top1": "high"}, "stopped": 3, "epochs": None}.items():
        result.write(tmp_path / "short" / "a.json", made(**{name: value}))
        with pytest.raises(result.ResultError, match=rf"a\.json.*{'test_top1' if name == 'curves' else name}"):
            result.read_final(tmp_path)
    (tmp_path / "short" / "a.json").write_text("5")
    with pytest.raises(result.ResultError, match=r"a\.json holds 5"):
        result.read_final(tmp_path)
    (tmp_path / "short" / "a.json").write_text('{"model": ')
    with pytest.raises(result.ResultError, match=r"a\.json cannot be read"):
        result.read_final(tmp_path)


@once
def test_a_process_ends_with_its_limits(tmp_path):
    written = tmp_path / "log"

    def run_python(code, limits):
        with written.open("w") as log:
            return process.run([sys.executable, "-c", code], log, limits, {})

    sleep = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    # The clock strikes when the process has written, however slow the machine is.
    stopped = process.Limits()
    stopped.check = lambda: (written.stat().st_size and stopped.stop(), process.Limits.check(stopped))
    for limits in (process.Limits(deadline=1, clock=lambda: written.stat().st_size), stopped):
        with pytest.raises(process.OutOfTime):
            run_python(sleep, limits)
        with pytest.raises(ProcessLookupError):
            os.kill(int(written.read_text()), 0)
    assert run_python("exit(3)", process.Limits()) == 3


@once
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not say which processors a process may use")
def test_processes_side_by_side_share_the_processors(tmp_path):
    own = os.sched_getaffinity(0)
    code = "import os; print(*os.sched_getaffinity(0))"

    def processors(limits):
        """Those of the processes that take the shares of `limits` one after another."""
        with (tmp_path / "log").open("w") as log:
            assert process.run([sys.executable, "-c", code], log, limits, {}) == 0
        return set(map(int, (tmp_path / "log").read_text().split()))

    assert processors(process.Limits(at_once=1)) == own
    assert processors(process.Limits(at_once=len(own) + 1)) == own  # too few to share
    for count in range(2, len(own) + 1):
        limits = process.Limits(at_once=count)
        taken = [processors(limits) for _ in range(count)]
        assert set.union(*taken) == own
        assert sum(map(len, taken)) == len(own)
        assert min(map(len, taken)) == len(own) // count
        assert processors(limits) == taken[0]  # each gave its share back


@once
def test_a_child_waits_for_its_parent(settings):
    _, child, *_ = plan.jobs(settings, ["resnet20/*"])
    lines = []

    class Parent:
        def result(self):
            lines.append("waited")

    assert run._run_unless_finished(child, Parent(), process.Limits(), lines.append) == run.FAILED
    assert lines[0] == "waited"
    assert "which is not finished" in lines[1]


@once
def test_side_by_side_it_ends_as_one_after_another(settings):
    jobs = plan.jobs(settings, ["resnet20/*"])
    lines = []
    result.write(jobs[0].result, made(method="float", flags=jobs[0].values()))
    assert run.sweep(jobs, log=lines.append, at_once=3) == run.FAILED
    assert "(finished before" in lines[0]
    assert sum("are neither in" in line for line in lines) == len(jobs) - 1
    jobs[0].result.unlink()
    lines.clear()
    assert run.sweep(jobs, seconds=0, log=lines.append, at_once=3) == run.TIME_IS_UP
    assert lines == ["==> Time is up with 9 of 9 runs to finish: the same command goes on"]
    settings.results.rename(settings.results.with_name("moved"))
    settings.results.write_text("a file")
    with pytest.raises(result.ResultError, match="cannot write to"):
        run.sweep(jobs, log=lambda line: None, at_once=3)


@once
def test_where_results_cannot_go_nothing_is_trained(settings):
    settings.results.write_text("a file")
    with pytest.raises(result.ResultError, match=r"cannot write to .*results.* of --results: Not a directory"):
        run.sweep(plan.jobs(settings, ["resnet20/float"]), log=lambda line: None)
    assert not list(settings.run_root.glob("**/train.log"))


@once
def test_accuracies_of_files_that_are_none_are_said(tmp_path):
    for text in ("5", "[{}]", "{}", "["):
        (tmp_path / zoo.FILE).write_text(text)
        with pytest.raises(result.ResultError, match=r"zoo\.json"):
            zoo.read(tmp_path)


@once
def test_results_that_the_table_would_leave_out_are_said(tmp_path, capsys):
    result.write(tmp_path / "short" / "a.json", made("nin", "dorefa_g"))
    assert table.main([str(ROOT / "LICENSE"), f"--results={tmp_path}"]) == 2
    assert capsys.readouterr().err == "error: there are results of nin/dorefa_g, which recipe short does not have\n"


@once
def test_table_replaces_what_is_between_the_markers(tmp_path):
    result.write(tmp_path / "short" / "a.json", made())
    result.write(tmp_path / "short" / "b.json", made("nin", "xnor", parent_epochs=None))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- accuracy -->\nold\n<!-- /accuracy -->\nafter\n")
    for _ in range(2):
        assert table.main([str(page), f"--results={tmp_path}"]) == 0
    expected = table.markdown(result.read_final(tmp_path))
    assert page.read_text() == f"before\n<!-- accuracy -->\n{expected}<!-- /accuracy -->\nafter\n"
    assert "| nin | xnor | 77.26 (81.22) | 74.0 | **80.00** | 81.00 | - | 12 | 0 | 2 cores of X | - | - |" in expected
    assert {path.name for path in tmp_path.glob("*.png")} == {"short_train.png", "short_test.png"}


@once
def test_a_method_looks_the_same_in_every_panel(monkeypatch):
    figures = []
    monkeypatch.setattr(plot, "_write", lambda figure, out: figures.append(figure))
    line = ([0, 1], [10.0, 20.0])
    plot.panels({"resnet20": {"float": line, "xnor": line}, "nin": {"xnor": line}}, "x.png")
    (first, second), legend = figures[0].axes, figures[0].axes[0].get_legend()
    assert first.get_lines()[1].get_color() == second.get_lines()[0].get_color() != first.get_lines()[0].get_color()
    assert [text.get_text() for text in legend.get_texts()] == ["float  20.0", "xnor  20.0"]


@once
def test_pictures_draw_the_first_seed_of_each_method():
    results = [made(seed=0, final=80.0), made(seed=1, final=82.0), made(tag="slow"), made("nin"), made(recipe="full", final=1.0)]
    lines = table._lines(results, "short", "resnet20", "test_top1")
    assert {label: list(top1) for label, (_, top1) in lines.items()} == {"xnor": [10.0, 80.0], "xnor, slow": [10.0, 80.0]}
    assert [list(epochs) for epochs, _ in lines.values()] == [[0, 1], [0, 1]]


@once
def test_questions_are_a_picture_for_each_number_of_bits(tmp_path, monkeypatch, capsys):
    drawn = {}
    monkeypatch.setattr(plot, "panels", lambda lines, out: drawn.update({out.name: lines}))
    curves = {"train_top1": [20.0, 30.0], "holdout_top1": [10.0, 11.0], "holdout_top1_fresh": [19.0, 29.0]}
    common = {"model": "resnet20_272k", "recipe": "questions", "holdout": 5000, "curves": curves}
    sgd, fast, adam = {"optimizer": "sgd", "lr": "0.1"}, {"optimizer": "sgd", "lr": "1.0"}, {"optimizer": "adam", "lr": "0.003"}
    runs = [("a1w1", "", adam), ("a1w1_sgd_0.1", "", sgd), ("a1w1_sgd_0.1", "fast", fast), ("a4w4", "", adam)]
    for number, (method, tag, flags) in enumerate(runs):
        written = made(method=f"dorefa_{method}", tag=tag, flags=flags, parent_epochs=7 if tag else None, **common)
        result.write(tmp_path / "questions_holdout5000" / f"{number}.json", written)
    assert questions.main([f"--results={tmp_path}"]) == 0
    assert list(drawn) == ["questions_a4w4.png", "questions_a1w1.png"]
    of_one_bit = drawn["questions_a1w1.png"]
    assert [list(panel) for panel in of_one_bit.values()] == [["SGD, rate 0.1", "SGD, rate 1.0, fast", "as shipped"]] * 3
    assert [panel["as shipped"] for panel in of_one_bit.values()] == [(range(2), curve) for curve in curves.values()]
    assert {panel["SGD, rate 1.0, fast"][0] for panel in of_one_bit.values()} == {range(7, 9)}  # after those behind it
    assert questions.main([f"--results={tmp_path / 'nowhere'}"]) == 2
    assert "nowhere has no results of recipe questions" in capsys.readouterr().err


@once
def test_the_table_of_the_results_page_is_that_of_the_committed_results(tmp_path, monkeypatch):
    page = (ROOT / table.PAGE).read_text()
    (tmp_path / table.PAGE).parent.mkdir()
    (tmp_path / table.PAGE).write_text(page)
    monkeypatch.setattr(table, "pictures", lambda results, folder: [])
    monkeypatch.chdir(tmp_path)
    assert table.main([f"--results={ROOT / 'results/sweep'}"]) == 0
    assert (tmp_path / table.PAGE).read_text() == page
    assert "| resnet20 | dorefa_a4w4 | 91.01 | 90.3 | 89.64 |" in page.split(table.BEGIN)[1].split(table.END)[0]


# The real thing.


def tiny(tmp_path, *extra, recipe="short", rows="resnet20/float,resnet20/xnor", data=TINY):
    places = [f"--run_root={tmp_path / 'runs'}", f"--results={tmp_path / 'results'}", f"--backend={BACKEND}"]
    return [f"--recipe={recipe}", f"--rows={rows}", "--tag=tiny", *places, "--", *data, *extra]


@once
@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_leaves_table_and_pictures(tmp_path):
    line = [sys.executable, "-m", "lab.sweep", "--at_once=2", *tiny(tmp_path, "--epochs=8")]
    run_dir = tmp_path / "runs" / "short_tiny" / "resnet20_float_seed0"
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (run_dir / "history.csv").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == "interrupted: the same command goes on\n"
    assert process.returncode == 130
    assert not list(tmp_path.glob("results/**/*.json"))

    again = sweep("--at_once=2", *tiny(tmp_path, "--epochs=8"))
    assert again.returncode == 0, again.stdout + again.stderr
    # The process that trained was ended too, between two epochs or within one.
    assert re.search(r"Going on after (step \d+ of )?epoch", (run_dir / "train.log").read_text())
    folder = tmp_path / "results" / "short_tiny"
    first, second = (result.read(folder / f"resnet20_{method}_seed0.json") for method in ("float", "xnor"))
    assert (first["epochs"], first["parent_epochs"], second["epochs"], second["parent_epochs"]) == (8, None, 8, 8)
    assert (first["model"], first["method"], first["recipe"], first["tag"], first["seed"]) == (
        *("resnet20", "float", "short", "tiny", 0),
    )
    assert [len(second["curves"][name]) for name in ("train_loss", "train_top1", "test_loss", "test_top1")] == [8] * 4
    assert second["final_top1"] == pytest.approx(second["curves"]["test_top1"][-1], abs=0.01)
    assert second["best_top1"] == pytest.approx(max(second["curves"]["test_top1"]), abs=0.01)
    assert second["flags"]["depth"] == "8"
    assert second["flags"]["init_from"].endswith("weights/resnet20_float_seed0.npz")
    assert "cores of" in second["hardware"] or "core of" in second["hardware"]
    assert "data_dir" not in second["command"]
    assert "run_dir" not in second["command"]

    page = tmp_path / "page.md"
    page.write_text(f"{table.BEGIN}\n{table.END}\n")
    rendered = sweep("table", str(page), f"--results={tmp_path / 'results'}")
    assert rendered.returncode == 0, rendered.stderr
    goal = GOALS["resnet20/xnor"]
    assert f"| resnet20 | xnor, tiny | {goal.pytorch} | {goal.short} |" in page.read_text()

    measured = sweep("zoo", f"--results={tmp_path / 'results'}", "--dataset=npz", f"--data_dir={SLICE[1].split('=')[1]}")
    assert measured.returncode == 0, measured.stderr
    rows = zoo.read(tmp_path / "results")
    assert [row["file"] for row in rows] == [f"short_tiny/networks/resnet20_{method}_seed0.tfq" for method in ("float", "xnor")]
    for row, made in zip(rows, (first, second), strict=True):
        assert row["keras_top1"] == pytest.approx(made["best_top1"], abs=1.0)
        assert row["runtime_top1"] == pytest.approx(made["best_top1"], abs=1.0)
    assert rows[1]["bytes"] < rows[0]["bytes"] / 4
    assert sweep("table", str(page), f"--results={tmp_path / 'results'}").returncode == 0
    assert f"| {rows[1]['bytes'] / 1000:.0f} | {rows[1]['keras_top1']:.2f} |" in page.read_text()


@once
def test_a_run_that_diverges_is_a_result_and_one_that_crashes_is_not(tmp_path):
    flags = tiny(tmp_path, "--epochs=1", "--lr=1e30", rows="resnet20/float,resnet20/xnor")
    diverged = sweep(*flags)
    assert diverged.returncode == 1
    assert "which was stopped: the loss became" in diverged.stdout
    (file,) = (tmp_path / "results").glob("**/*.json")
    found = json.loads(file.read_text())
    assert found["stopped"].startswith("the loss became")
    assert (found["epochs"], found["final_top1"], found["curves"]) == (0, None, {})
    crashed = sweep(*tiny(tmp_path, "--nonsense=1", rows="nin/xnor"))
    assert crashed.returncode == 1
    assert "train.py ended with status 2" in crashed.stdout
    assert "nonsense" in crashed.stdout
    assert not list((tmp_path / "results").glob("**/nin*.json"))


@pytest.mark.skipif(BACKEND != "jax", reason="the accelerator's way is JAX")
def test_full_recipe_on_jax_for_a_few_steps(tmp_path):
    few = [*SLICE, "--limit_train=48", "--batch_size=16", "--depth=8"]
    flags = tiny(tmp_path, "--epochs=1", "--steps_per_execution=2", recipe="full", rows="resnet20_272k/dorefa_a2w2", data=few)
    trained = sweep("--at_once=2", *flags)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    (file,) = (tmp_path / "results").glob("**/*.json")
    found = json.loads(file.read_text())
    assert (found["backend"], found["method"], found["recipe"]) == ("jax", "dorefa_a2w2", "full")
    assert np.isfinite([found["final_top1"], *found["curves"]["train_loss"]]).all()
