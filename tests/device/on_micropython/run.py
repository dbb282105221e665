"""Runs one function of one file under MicroPython: micropython run.py FOLDERS FILE FUNCTION ARGUMENTS...

FOLDERS is the search path, with colons between. A coroutine function is run to its end.
"""

import asyncio
import sys

folders, name, function = sys.argv[1:4]
sys.path[:] = folders.split(":") + [".frozen"]
result = getattr(__import__(name), function)(*sys.argv[4:])
if result is not None:
    asyncio.run(result)
