import importlib.util
import shutil
import subprocess
import sys

import pytest

from pressroom_host.demo import machine
from pressroom_host.demo.machine import ClientMissing, NoInterface


def test_without_the_official_client_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ClientMissing, match=r"pip install 'pressroom\[demo\]'"):
        machine.require_all()


def test_with_nothing_but_lo_the_sentence_says_so():
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace may be made; run as root")
    code = "from pressroom_host.demo import machine; machine.require_all()"
    done = subprocess.run([*alone, sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert NoInterface.__name__ in done.stderr
    assert "no network interface besides lo" in done.stderr
