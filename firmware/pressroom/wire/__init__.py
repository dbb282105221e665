"""The silent core that device and host share: no socket, no clock, no randomness, no hardware."""
