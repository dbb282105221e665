"""Runs one of these test files under MicroPython, which has no pytest.

     micropython run.py FIRMWARE_FOLDER test_rtp.py

A test is a function whose name begins with `test_`, plain or async. The exit code is 1 if one of them failed.
"""

import sys


def run_file(name):
    """Run the tests of a file in sys.path; print a line for each and return how many failed."""
    tests = __import__(name[: -len(".py")]).__dict__
    n_failed = 0
    n_passed = 0
    for test in sorted(tests):
        if not test.startswith("test_"):
            continue
        try:
            result = tests[test]()
            if hasattr(result, "send"):
                import asyncio

                asyncio.run(result)
            n_passed += 1
            print("ok", test)
        except Exception as error:  # noqa: BLE001 - a test may fail with anything
            n_failed += 1
            print("FAILED", test)
            sys.print_exception(error)
    print("%d passed, %d failed" % (n_passed, n_failed))
    return n_failed if n_passed else 1


def stand_in_for_crypto():
    """Let modules that name wire.crypto be imported in a port without cryptography; nothing of it can be used."""
    try:
        import cryptolib  # noqa: F401
    except ImportError:
        import no_crypto

        sys.modules["pressroom.wire.crypto"] = no_crypto


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    stand_in_for_crypto()
    sys.exit(1 if run_file(sys.argv[2]) else 0)
