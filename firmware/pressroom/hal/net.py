"""Wi-Fi, and the UDP socket that carries media."""

import asyncio
import socket

import network
from micropython import const

_ROAM_POLL_MS = const(20)


class WifiFailed(Exception):
    """The access point was not joined; the text says which and what to check."""


class Wifi:
    """The station: joins one access point."""

    def __init__(self, ssid, password):
        self._ssid = ssid
        self._password = password
        self._wlan = network.WLAN(network.WLAN.IF_STA)

    async def connect(self, timeout_ms):
        """Join the access point; returns at once if it is joined. Raises WifiFailed."""
        if self._wlan.isconnected():
            return
        self._wlan.active(True)
        self._wlan.connect(self._ssid, self._password)
        try:
            await asyncio.wait_for_ms(self._until_connected(), timeout_ms)
        except asyncio.TimeoutError:
            self._wlan.disconnect()
            raise WifiFailed(
                "access point %r was not joined within %d ms; check wifi_ssid, wifi_password and that it has 2.4 GHz"
                % (self._ssid, timeout_ms)
            )

    def is_connected(self):
        return self._wlan.isconnected()

    def set_awake(self, is_awake):
        """During a call the radio must not sleep: asleep it hears the gateway up to 500 ms late."""
        self._wlan.config(pm=self._wlan.PM_NONE if is_awake else self._wlan.PM_PERFORMANCE)

    def rssi_dbm(self):
        return self._wlan.status("rssi")

    async def _until_connected(self):
        while not self._wlan.isconnected():
            await asyncio.sleep_ms(_ROAM_POLL_MS)


class UdpLink:
    """A UDP socket connected to one address; receives datagrams of dn_len bytes only.

    MicroPython reads until the buffer is full, across datagrams. With one size for all of them a read is a datagram: a
    longer one loses its tail, a shorter one spoils the next, and authentication drops both.
    An empty datagram ends an esp32 socket for good, so it is opened anew.
    """

    def __init__(self, host, port, dn_len):
        self.n_send_drops = 0  # the network took no more, or nobody listens there
        self.n_short = 0
        self.n_reopened = 0
        self._address = socket.getaddrinfo(host, port)[0][-1]
        self._dn_len = dn_len
        self._socket = None
        self._open()

    def send(self, packet, n_bytes):
        """Send packet[:n_bytes]; returns False, and counts it, if it was dropped. Allocates nothing."""
        try:
            if self._socket.write(packet, n_bytes) == n_bytes:
                return True
        except OSError:  # ENOMEM: the Wi-Fi queue is full; ECONNREFUSED: nobody took an earlier packet
            pass
        self.n_send_drops += 1
        return False

    def read_into(self, packet):
        """Read a datagram into packet[:dn_len]; returns dn_len, or 0 if no whole one is there. Allocates nothing."""
        try:
            n_bytes = self._socket.readinto(packet, self._dn_len)
        except OSError:  # nobody took an earlier packet
            self.n_send_drops += 1
            return 0
        if n_bytes is None:
            return 0
        if n_bytes == self._dn_len:
            return n_bytes
        if n_bytes == 0:
            self.n_reopened += 1
            self._socket.close()
            self._open()
        else:
            self.n_short += 1
        return 0

    def close(self):
        """Safe to call twice."""
        self._socket.close()

    def _open(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(self._address)
        self._socket.setblocking(False)
