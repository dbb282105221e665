"""Most of this folder runs MicroPython's unix port, which exists for Linux x86-64 only."""

import pytest

from pressroom_host.errors import UserError
from pressroom_host.sim.process import micropython_program


@pytest.fixture(autouse=True)
def micropython() -> None:
    """Skip, and say what to plug in, where there is no unix port."""
    try:
        micropython_program()
    except UserError as missing:
        pytest.skip(str(missing))
