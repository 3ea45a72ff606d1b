"""Threads that share a batch or an image."""

import gc
import os
import threading
import time

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import METHODS, SIGN, normal, one, run_python, same, small_network

from tfq.graph import nodes as g
from tfq.runtime import engine as engine_module
from tfq.runtime import tickets
from tfq.runtime.arrays import Array
from tfq.runtime.engine import Engine
from tfq.runtime.program import steps
from tfq.runtime.team import Team

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
def test_every_batch_size_and_number_of_threads_gives_the_same(quantizer, coding, bits):
    graph = small_network(np.random.default_rng(1), quantizer, coding, bits)
    images = normal(np.random.default_rng(2), 33, *graph.input_shape)
    wanted = same(graph, images)
    for threads in (1, 2, 3):
        engine = Engine(graph, threads)
        for batch in range(1, 34):
            np.testing.assert_array_equal(engine.predict(images[-batch:]), wanted[-batch:])


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
def test_threads_that_share_an_image_compute_the_same(quantizer, coding, bits, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    taken = []
    monkeypatch.setattr(Engine, "_run_together", counted(Engine._run_together, taken))
    graph = small_network(np.random.default_rng(1), quantizer, coding, bits)
    pixels = np.random.default_rng(2).integers(0, 256, (4, *graph.input_shape), np.uint8)
    wanted, engine = Engine(graph).predict(pixels), Engine(graph, 4)
    for _ in range(25):
        for batch in range(1, 5):
            np.testing.assert_array_equal(engine.predict(pixels[-batch:]), wanted[-batch:])
    assert len(taken) == 75


def test_a_helper_computes_parts_of_a_step():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 64, 64), "levels", 8), "levels", 8)
    graph = one(g.Conv2D("conv", ("input",), kernel, quantizer=g.Levels(8)), (64, 64, 64))
    images = normal(rng, 1, 64, 64, 64)
    wanted, engine = Engine(graph).predict(images).reshape(1, -1), Engine(graph, 2)
    memory, outputs = engine._memory(), np.empty_like(wanted)
    rows = memory.rows
    (convolve,) = engine._program.steps(steps.Convolve)
    # Sums of the helper have a place of their own, behind those of the leader.
    size = convolve["width"] * convolve["strip"] * convolve["tile_vectors"] * 16
    of_helper = memory.memory[convolve["sums"] + size :][:size]
    engine._execute(rows, memory, images.reshape(1, -1), outputs, Array(tickets.state(2)), tickets.LEADER)
    np.testing.assert_array_equal(outputs, wanted)
    alone, end = of_helper.copy(), time.monotonic() + 60
    while np.array_equal(of_helper, alone):
        assert time.monotonic() < end
        state = Array(tickets.state(2))
        helper = threading.Thread(target=engine._execute, args=(rows, memory, outputs[:0], outputs[:0], state, 1))
        helper.start()
        engine._execute(rows, memory, images.reshape(1, -1), outputs, state, tickets.LEADER)
        helper.join()
        np.testing.assert_array_equal(outputs, wanted)


def test_threads_end_with_their_engine():
    before = {*threading.enumerate()}
    engine = Engine(one(g.ReLU("relu", ("input",)), (4,)), 3)
    engine.predict(normal(np.random.default_rng(0), 6, 4))
    threads = [thread for thread in threading.enumerate() if thread not in before]
    assert threads
    del engine
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system keeps no thread from a processor")
def test_helpers_that_would_share_a_processor_are_left_alone():
    own = os.sched_getaffinity(0)
    team = Team(len(own) + 1)
    barrier = threading.Barrier(len(own) + 1)
    for _ in own:
        team.pool.submit(barrier.wait)
    barrier.wait(10)
    team._keep_away()
    assert len(team._ids) == len(own)
    assert {frozenset(os.sched_getaffinity(thread)) for thread in team._ids} == {frozenset(own)}
    team.pool.shutdown()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system keeps no thread from a processor")
def test_helpers_wake_on_other_processors_than_the_caller(monkeypatch):
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one processor")
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(0)
    graph = small_network(rng)
    engine, image = Engine(graph, 2), normal(rng, 1, *graph.input_shape)
    wanted = Engine(graph).predict(image)
    own, (team, before) = os.sched_getaffinity(0), (engine._team(), set(threading.enumerate()))
    engine.predict(image)
    (helper,) = set(threading.enumerate()) - before
    end = time.monotonic() + 60
    while tickets.is_there(team.state, 1):  # until it sleeps, and has to be called
        assert time.monotonic() < end
        time.sleep(0.001)
    caller = min(own)
    try:
        os.sched_setaffinity(0, {caller, max(own)})
        np.testing.assert_array_equal(engine.predict(image), wanted)
        assert len(os.sched_getaffinity(helper.native_id)) == 1
        assert os.sched_getaffinity(helper.native_id) < {caller, max(own)}
    finally:
        os.sched_setaffinity(0, own)


def counted(function, calls):
    def call(*args):
        calls.append(1)
        return function(*args)

    return call


def test_only_images_that_take_long_are_shared():
    def work(size):
        kernel = oracle.pack(np.ones((3, 3, 64, 64)), "binary")
        return Engine(one(g.Conv2D("conv", ("input",), kernel, quantizer=SIGN), (size, size, 64)))._program.work

    # windows, words, vectors of filters
    assert work(32) == 32 * 32 * 9 * 2 * 4 < engine_module.SHARED_WORK
    assert work(128) == 128 * 128 * 9 * 2 * 4 > engine_module.SHARED_WORK


def test_callers_take_turns_at_sharing_an_image(monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(0)
    graph = small_network(rng)
    engine = Engine(graph, threads=2)
    images = normal(rng, 40, *graph.input_shape)
    wanted = engine.predict(images)
    end, wrong, calls = time.monotonic() + 1, [], []

    def call(seed):
        rng = np.random.default_rng(seed)
        while time.monotonic() < end:
            first, size = rng.integers(0, 20), rng.integers(1, 20)
            if not np.array_equal(engine.predict(images[first : first + size]), wanted[first : first + size]):
                wrong.append((first, size))
            calls.append(size)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert len(calls) > 30
    # Working memory is handed on from call to call: one for each caller, one for each thread of the engine.
    assert len(engine._idle) <= 8 + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    program = """
import os, signal
import numpy as np
import tfq.runtime
from tfq.graph import nodes as g
engine = tfq.runtime.Engine(g.Graph((2,), (g.ReLU("relu", ("input",)),)), threads=2)
images = np.array([[1, -1]] * 5, np.float32)
engine.predict(images)
child = os.fork()
if not child:
    signal.alarm(60)  # ends it where it waits for threads that are not there
    os._exit(0 if engine.predict(images).tolist() == [[1, 0]] * 5 else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_python(program).strip() == "0"
