"""Stand-in for MicroPython's network module: a WLAN station that is connected some time after it was asked to be."""

import sim_chip

STA_IF = 0
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010


class WLAN:
    IF_STA = 0
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    _is_active = False  # of the one station, however many objects name it
    _connecting_since_us = None
    _settings = {"pm": PM_PERFORMANCE}

    def __init__(self, interface=IF_STA):
        if interface != WLAN.IF_STA:
            raise NotImplementedError("the stand-in WLAN is a station only")

    def active(self, is_active=None):
        if is_active is not None:
            WLAN._is_active = bool(is_active)
        return WLAN._is_active

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not WLAN._is_active:
            raise OSError("Wifi Not Started")
        WLAN._connecting_since_us = sim_chip.chip.clock.now_us()

    def disconnect(self):
        WLAN._connecting_since_us = None

    def isconnected(self):
        if WLAN._connecting_since_us is None:
            return False
        waited_us = sim_chip.chip.clock.now_us() - WLAN._connecting_since_us
        return waited_us >= sim_chip.chip.wifi_delay_ms * 1000

    def status(self, param=None):
        if param == "rssi":
            return -40
        if WLAN._connecting_since_us is None:
            return STAT_IDLE
        return STAT_GOT_IP if self.isconnected() else STAT_CONNECTING

    def config(self, *names, **settings):
        WLAN._settings.update(settings)
        return WLAN._settings[names[0]] if names else None

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
