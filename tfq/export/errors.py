"""Errors of an export that is asked for wrongly."""


class ExportError(ValueError):
    """An export that cannot be made as it was asked for; the message says what came and what was expected."""
