"""Pressroom: a voice device in stock MicroPython. The host imports `pressroom.wire` from here as it is."""
