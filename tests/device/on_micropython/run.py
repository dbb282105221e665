"""Runs one test function under MicroPython: micropython run.py FOLDERS FILE FUNCTION, with colons between folders."""

import sys

folders, name, function = sys.argv[1:]
sys.path[:] = folders.split(":") + [".frozen"]
getattr(__import__(name), function)()
