"""Runs viper functions under MicroPython: python calls in a JSON file, results as JSON to the output.

     micropython run_calls.py CALLS_JSON

CALLS_JSON: {"module": name, "callee": name, "calls": [[function, memory in hex, x, y, z], ...]}, beside the module.
"""

import binascii
import json
import sys


def main(path):
    sys.path.insert(0, path.rsplit("/", 1)[0])
    with open(path) as file:
        work = json.load(file)
    module = __import__(work["module"])
    callee = getattr(module, work["callee"])
    for name, memory, x, y, z in work["calls"]:
        memory = bytearray(binascii.unhexlify(memory))
        result = getattr(module, name)(memory, memory, memory, x, y, z, callee)
        print(json.dumps([int(result), binascii.hexlify(memory).decode()]))


main(sys.argv[1])
