"""The gateway: devices on one side, a LiveKit room on the other."""
