"""Firmware as it goes to a board: the tables of its codec, and machine code for its chip."""
