"""Starts the program in its arguments such that it ends with its parent. Run as a script; needs nothing but Python.

The kernel ends the process when the thread that started it is gone (prctl(2), PR_SET_PDEATHSIG); execv keeps that.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent = int(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])


main()
