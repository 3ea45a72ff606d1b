"""What a failed contract raises."""


class ContractError(AssertionError):
    """Something does not keep its contract; the message says what it did, and what was expected."""
