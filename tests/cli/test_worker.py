"""Objects in processes of their own."""

import os

import pytest

from tfq.speed.worker import Worker


class Counter:
    """What the workers of these tests hold."""

    def __init__(self, start):
        print("a line that nobody asked for")
        self.value = start

    def add(self, number):
        self.value += number
        return self.value

    def variables(self):
        return {name: os.environ.get(name) for name in ("TFQ_OF_A_TEST", "TF_CPP_MIN_LOG_LEVEL")}

    def fail(self):
        raise ValueError("not today")

    def die(self):
        os.write(2, b"the last words\n")
        os._exit(3)


COUNTER = "test_worker:Counter"


def test_a_worker_keeps_its_object_and_its_variables(capfd):
    worker = Worker(COUNTER, 40, environment={"TFQ_OF_A_TEST": "yes"})
    try:
        assert [worker.call("add", 1), worker.call("add", 1)] == [41, 42]
        assert worker.call("variables") == {"TFQ_OF_A_TEST": "yes", "TF_CPP_MIN_LOG_LEVEL": "3"}
        assert "TFQ_OF_A_TEST" not in os.environ
        with pytest.raises(ValueError, match=r"^not today$"):
            worker.call("fail")
        assert worker.call("add", 1) == 43
    finally:
        worker.close()
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_ends_says_its_last_words(capfd):
    worker = Worker(COUNTER, 0)
    with pytest.raises(RuntimeError, match=r"^the process of test_worker:Counter ended before it answered$"):
        worker.call("die")
    assert "the last words" in capfd.readouterr().err


def test_an_object_that_cannot_be_made_is_an_error_that_shows_why(capfd):
    with pytest.raises(RuntimeError, match=r"^the process of test_worker:Counter ended before it answered$"):
        Worker(COUNTER)
    assert "missing 1 required positional argument: 'start'" in capfd.readouterr().err
