"""The base of every error of `pressroom.wire`. Each cause has its class in the module that raises it. No I/O."""


class WireError(Exception):
    """What came in, or was asked for, breaks the rules of the wire; its text says which, and what was expected."""
