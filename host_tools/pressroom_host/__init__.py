"""Pressroom's host side: the gateway, its room, the simulated board and the command line."""
