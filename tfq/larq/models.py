"""larq's names of the summary: `summary` prints it and returns it, `ModelProfile` returns it."""

from tfq.summary import summarize as ModelProfile
from tfq.summary import summary

__all__ = ["ModelProfile", "summary"]
