"""What the LED shows in each state of the device, as (red, green, blue) from 0 to 255."""

OFF = "off"
CONNECTING = "connecting"
READY = "ready"
TALKING = "talking"
THINKING = "thinking"
AGENT_SPEAKING = "agent_speaking"
ERROR = "error"

LED_STATES = {
    OFF: (0, 0, 0),
    CONNECTING: (24, 12, 0),
    READY: (0, 0, 16),
    TALKING: (0, 40, 0),
    THINKING: (0, 16, 32),
    AGENT_SPEAKING: (16, 0, 32),
    ERROR: (48, 0, 0),
}
