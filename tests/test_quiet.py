"""What C++ code and warnings print inside `quiet` is not seen, unless the body fails; what comes after it is."""

import logging
import os
import sys

import pytest

from tfq.quiet import quiet


def test_nothing_is_seen_of_what_went_well(capfd):
    with quiet():
        print("Python")
        os.write(2, b"C++")
    assert capfd.readouterr() == ("", "")


def fail(error, passing=()):
    with quiet(passing):
        os.write(1, b"the reason")
        raise error


def test_all_is_shown_of_what_failed(capfd):
    with pytest.raises(RuntimeError):
        fail(RuntimeError)
    assert capfd.readouterr() == ("", "the reason")


def test_nothing_is_shown_of_an_error_that_says_it_all(capfd):
    with pytest.raises(KeyError):
        fail(KeyError, passing=(KeyError,))
    assert capfd.readouterr() == ("", "")


def test_a_handler_that_was_made_inside_goes_on_outside(capfd):
    """TensorFlow makes the one of its logger when it is first imported."""
    logger = logging.getLogger("tensorflow")
    handler = None
    try:
        with quiet():
            handler = logging.StreamHandler(sys.stderr)
            logger.addHandler(handler)
        handler.handle(logging.makeLogRecord({"msg": "a later warning"}))
    finally:
        logger.removeHandler(handler)
    assert capfd.readouterr().err == "a later warning\n"
