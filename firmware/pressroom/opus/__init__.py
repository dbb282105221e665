"""Opus for a five-dollar chip: CELT, mono, 16 kHz, 20 ms (RFC 6716), in viper. Its face: encoder.py, decoder.py."""
