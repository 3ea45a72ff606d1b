"""The former name of `tfq.summary`."""

from tfq.summary import *  # noqa: F403
