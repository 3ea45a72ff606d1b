"""What is raised where data are not to be had."""


class DataError(RuntimeError):
    """The data cannot be had, or are not what they should be; the message says what was tried and what can be done."""
