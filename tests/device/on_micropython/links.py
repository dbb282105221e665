"""hal's sockets against servers that the test runs. Runs under MicroPython; prints what it found, a line each."""

import asyncio
import binascii
import gc
import time

from pressroom.hal.net import UdpLink
from pressroom.hal.signalling import SignallingSocket

DN_LEN = 662
STEP_MS = 2


async def connect(url, pins, timeout_ms="3000", token="the-token"):
    """Print how connecting ended, and the longest time that the event loop stood still meanwhile."""
    socket = SignallingSocket()
    gap = LoopGap()
    watcher = asyncio.create_task(gap.watch())
    print(await outcome_of(socket.connect(url, pins_of(pins), token, int(timeout_ms))))
    watcher.cancel()
    print("gap_ms=%d" % gap.longest_ms)
    socket.close()


async def converse(url, pins):
    """Say what the server is to do, and print what it does, until it closes."""
    socket = SignallingSocket()
    await socket.connect(url, pins_of(pins), "the-token", 3000)
    socket.send_text("hello")
    while True:
        try:
            message = await socket.receive()
        except OSError as error:
            print("closed", error)
            return
        print("text" if isinstance(message, str) else "binary", len(message))
        if message == "media, please":
            packet = bytes(range(200)) * 4
            socket.send_media(packet, 653)
        elif message == "close":
            socket.close()
        elif message == "flood":
            flood(socket)


def flood(socket):
    """Send media until some is dropped, then a text, which has room of its own."""
    n_sent = 0
    while socket.n_dropped_media == 0:
        socket.send_media(b"%06d" % n_sent + bytes(700), 650)
        n_sent += 1
    socket.send_text("the end")
    print("flooded", n_sent - 1)


async def stall(url, pins):
    """Send texts to a server that does not read until the socket is given up."""
    socket = SignallingSocket()
    await socket.connect(url, pins_of(pins), "the-token", 3000)
    for _ in range(20_000):
        socket.send_text("x" * 1000)
    print(await outcome_of(socket.receive()))
    print(socket.send_media(bytes(10), 10), socket.n_dropped_media)


async def close_while_receiving(url, pins):
    socket = SignallingSocket()
    await socket.connect(url, pins_of(pins), "the-token", 3000)
    task = asyncio.create_task(outcome_of(socket.receive()))
    await asyncio.sleep_ms(50)
    socket.close()
    print(await task)


async def udp(port, n_wanted):
    """Ask the server for datagrams one by one, print what comes of each, then the counters."""
    link = UdpLink("127.0.0.1", int(port), DN_LEN)
    packet = bytearray(DN_LEN + 100)
    for n in range(int(n_wanted)):
        link.send(b"%d" % n, 1)
        print(await read(link, packet))
    print("short=%d reopened=%d drops=%d" % (link.n_short, link.n_reopened, link.n_send_drops))
    link.close()
    link.close()


async def read(link, packet):
    """Return the first byte of the next whole datagram and its length, or none after a while."""
    until_ms = time.ticks_add(time.ticks_ms(), 100)
    while time.ticks_diff(until_ms, time.ticks_ms()) > 0:
        n_bytes = link.read_into(packet)
        if n_bytes:
            return "%s %d" % (chr(packet[0]), n_bytes)
        await asyncio.sleep_ms(STEP_MS)
    return "none"


async def udp_allocation(port):
    link = UdpLink("127.0.0.1", int(port), DN_LEN)
    packet = bytearray(DN_LEN)
    out = bytearray(DN_LEN)
    exchange(link, out, packet, 10)
    gc.collect()
    before = gc.mem_alloc()
    n_read = exchange(link, out, packet, 500)
    print("read=%d bytes=%d" % (n_read, gc.mem_alloc() - before))


def exchange(link, out, packet, n_packets):
    """Send datagrams to an echo and count what comes back."""
    n_read = 0
    n = 0
    while n < n_packets:
        link.send(out, 600)
        link.send(out, DN_LEN)
        n_tries = 0
        while not link.read_into(packet) and n_tries < 100:
            time.sleep_ms(1)
            n_tries += 1
        n_read += n_tries < 100
        n += 1
    return n_read


async def udp_to_nobody(port):
    link = UdpLink("127.0.0.1", int(port), DN_LEN)
    packet = bytearray(DN_LEN)
    for _ in range(10):
        link.send(packet, DN_LEN)
        await asyncio.sleep_ms(5)
        assert link.read_into(packet) == 0
    print("drops", link.n_send_drops)


async def outcome_of(coroutine):
    began_ms = time.ticks_ms()
    try:
        result = await coroutine
    except Exception as error:  # noqa: BLE001 whatever it is, the test wants to see it
        result = "%s: %s" % (type(error).__name__, error)
    return "%s after %d ms" % (result, time.ticks_diff(time.ticks_ms(), began_ms))


def pins_of(text):
    return [binascii.unhexlify(pin) for pin in text.split(",") if pin]


class LoopGap:
    """Watches for how long the event loop stands still."""

    def __init__(self):
        self.longest_ms = 0

    async def watch(self):
        last_ms = time.ticks_ms()
        while True:
            await asyncio.sleep_ms(1)
            now_ms = time.ticks_ms()
            self.longest_ms = max(self.longest_ms, time.ticks_diff(now_ms, last_ms))
            last_ms = now_ms
