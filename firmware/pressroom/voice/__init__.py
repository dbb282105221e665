"""How the device behaves: it talks while the button is held. Hardware comes in by constructor."""
