"""Opus for a five-dollar chip: CELT, mono, 16 kHz, 20 ms (RFC 6716), in viper. encoder.py and decoder.py are its face."""
