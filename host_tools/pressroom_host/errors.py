"""The root of the errors a person can put right; each cause has its own class in the module that raises it."""


class UserError(Exception):
    """What happened, what was expected and what to do next, in one line: the command line prints just that.

    exit_code: what `pressroom` exits with. 2 = the command could not do its work as it was asked.
    """

    exit_code = 2
