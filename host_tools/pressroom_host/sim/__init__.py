"""The simulated board: real firmware under MicroPython's unix port, with stand-ins for the hardware."""
