"""wire.srtp against libsrtp, which the gateway uses: the device's end runs on both Pythons."""

import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pylibsrtp
import pytest
from pylibsrtp import Policy, Session

from pressroom_host.sim.flash import lay_out

CHECKOUT = Path(__file__).resolve().parents[2]
PEER = CHECKOUT / "tests" / "both" / "srtp_peer.py"
MICROPYTHON = Path(sys.executable).with_name("micropython")

N_PACKETS = 1_500
WRAP_AFTER = 700  # packets: so far from its end a stream begins
LIBSRTP_WINDOW = 128


class Peer:
    """The device's end, in a process."""

    def __init__(self, python: Path, firmware: Path, key_out: bytes, key_in: bytes) -> None:
        command = [python, PEER, firmware, key_out.hex(), key_in.hex()]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def protect(self, packet: bytes) -> bytes:
        secret = self._call("protect", packet)
        assert secret is not None
        return secret

    def unprotect(self, packet: bytes) -> bytes | None:
        return self._call("unprotect", packet)

    def stop(self) -> None:
        self._process.communicate(timeout=10)

    def _call(self, name: str, packet: bytes) -> bytes | None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{name} {packet.hex()}\n")
        line = self._process.stdout.readline().strip()
        assert line, "the peer ended"
        return None if line == "dropped" else bytes.fromhex(line)


class Ends:
    """A gateway with libsrtp and a device with wire.srtp, with a key for each direction."""

    def __init__(self, python: Path, firmware: Path) -> None:
        self.random = random.Random(3711)
        key_up, key_dn = self.random.randbytes(30), self.random.randbytes(30)
        self.device = Peer(python, firmware, key_up, key_dn)
        self.gateway_in = Session(self._policy(key_up, Policy.SSRC_ANY_INBOUND))
        self.gateway_out = Session(self._policy(key_dn, Policy.SSRC_ANY_OUTBOUND))

    def packets(self) -> Iterator[bytes]:
        """RTP packets of every length, some with sources and an extension, across a wrap."""
        first_seq = 65_536 - WRAP_AFTER
        for n in range(N_PACKETS):
            first_byte, more = 0x80, b""
            if n % 10 == 0:
                first_byte, more = 0x92, bytes(8) + b"\xbe\xde\x00\x01" + self.random.randbytes(4)
            header = struct.pack(">BBHII", first_byte, 111, (first_seq + n) & 0xFFFF, n * 960, 0xCAFEBABE)
            yield header + more + self.random.randbytes(self.random.choice((0, 1, 60, 63, 64, 65, 640, n % 300)))

    def reordered(self, packets: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """Lose one in thirty, and swap neighbours up to 20 apart."""
        held: list[tuple[bytes, bytes]] = []
        for packet in packets:
            if self.random.random() > 1 / 30:
                held.append(packet)
            if len(held) > 20 or (held and self.random.random() < 0.3):
                self.random.shuffle(held)
                yield from held
                held = []
        yield from held

    @staticmethod
    def _policy(key: bytes, ssrc_type: int) -> Policy:
        policy = Policy(key=key, ssrc_type=ssrc_type)
        policy.window_size = LIBSRTP_WINDOW
        return policy


@pytest.fixture(params=["cpython", "micropython"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ends]:
    python, firmware = Path(sys.executable), CHECKOUT / "firmware"
    if request.param == "micropython":
        if not MICROPYTHON.exists():
            pytest.skip("MicroPython's unix port is not installed; it exists for Linux x86-64: run `make test` there")
        lay_out(firmware, tmp_path)
        python, firmware = MICROPYTHON, tmp_path
    pair = Ends(python, firmware)
    yield pair
    pair.device.stop()


def test_libsrtp_opens_what_the_device_protects(ends: Ends) -> None:
    pairs = ((packet, ends.device.protect(packet)) for packet in ends.packets())
    n_opened = 0
    for packet, secret in ends.reordered(pairs):
        assert ends.gateway_in.unprotect(secret) == packet
        n_opened += 1
    assert n_opened > N_PACKETS * 0.9


def test_the_device_opens_what_libsrtp_protects(ends: Ends) -> None:
    pairs = ((packet, ends.gateway_out.protect(packet)) for packet in ends.packets())
    n_opened = 0
    for packet, secret in ends.reordered(pairs):
        assert ends.device.unprotect(secret) == packet
        n_opened += 1
    assert n_opened > N_PACKETS * 0.9


def test_the_device_drops_what_was_replayed_or_changed(ends: Ends) -> None:
    sent: list[bytes] = []
    n_dropped = 0
    for packet in ends.packets():
        secret = ends.gateway_out.protect(packet)
        if ends.random.random() < 0.1:
            forged = bytearray(secret)
            forged[ends.random.randrange(len(forged))] ^= 1 << ends.random.randrange(8)
            assert ends.device.unprotect(bytes(forged)) is None
            n_dropped += 1
        assert ends.device.unprotect(secret) == packet
        sent.append(secret)
        if ends.random.random() < 0.1:
            assert ends.device.unprotect(ends.random.choice(sent[-100:])) is None
            n_dropped += 1
    assert n_dropped > N_PACKETS * 0.1


def test_libsrtp_drops_what_was_replayed_or_changed(ends: Ends) -> None:
    for n, packet in enumerate(ends.packets()):
        secret = ends.device.protect(packet)
        forged = bytearray(secret)
        forged[-1 - n % 10] ^= 0x40
        with pytest.raises(pylibsrtp.Error):
            ends.gateway_in.unprotect(bytes(forged))
        assert ends.gateway_in.unprotect(secret) == packet
        with pytest.raises(pylibsrtp.Error):
            ends.gateway_in.unprotect(secret)


def test_both_follow_a_wrap_that_was_lost(ends: Ends) -> None:
    for n, packet in enumerate(ends.packets()):
        up, down = ends.device.protect(packet), ends.gateway_out.protect(packet)
        if n < WRAP_AFTER - 50 or n > WRAP_AFTER + 50:
            assert ends.gateway_in.unprotect(up) == packet
            assert ends.device.unprotect(down) == packet
