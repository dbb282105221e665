"""The chips whose machine code viper functions become."""

import pytest
from tests.opus.machines.rv32 import Rv32
from tests.opus.machines.xtensa import CompilerMissing, Xtensa


@pytest.fixture(params=[Rv32, Xtensa])
def machine(request):
    try:
        return request.param()
    except CompilerMissing as missing:
        pytest.skip(str(missing))
