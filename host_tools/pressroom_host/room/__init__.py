"""The embedded room: what a LiveKit server does for its clients, in this process, on loopback."""
