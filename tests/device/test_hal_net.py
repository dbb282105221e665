"""hal's UDP socket, under MicroPython (on_micropython/links.py), against a socket of the host."""

import asyncio
import socket
from collections.abc import Sequence

import micropython_tests

DN_LEN = 662


async def lines_of(function: str, answers: Sequence[list[bytes]] | None, *arguments: object) -> list[str]:
    """Answer the n-th datagram with the n-th list of datagrams; echo the whole ones if there is no list."""
    rest = iter(answers) if answers is not None else None

    def answer() -> None:
        data, address = server.recvfrom(2048)
        for datagram in next(rest) if rest is not None else [data] * (len(data) == DN_LEN):
            server.sendto(datagram, address)  # an asyncio transport would not send an empty one

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        loop.add_reader(server, answer)
        try:
            port = server.getsockname()[1]
            return (await micropython_tests.run("links", function, port, *arguments)).splitlines()
        finally:
            loop.remove_reader(server)


def whole(letter: str) -> bytes:
    return letter.encode() * DN_LEN


async def test_a_datagram_of_the_agreed_size_is_read():
    assert await lines_of("udp", [[whole("a")], [whole("b")]], 2) == [
        "a 662",
        "b 662",
        "short=0 reopened=0 drops=0",
    ]


async def test_a_short_datagram_is_counted_and_the_next_one_read():
    assert await lines_of("udp", [[b"short"], [whole("a")]], 2) == ["none", "a 662", "short=1 reopened=0 drops=0"]


async def test_a_short_datagram_spoils_at_most_the_one_behind_it():
    lines = await lines_of("udp", [[b"short", whole("a"), whole("b")], [whole("c")]], 3)
    assert lines[0] == "s 662"  # five bytes of one and the rest of the other: authentication will drop it
    assert lines[1] == "b 662"


async def test_a_long_datagram_loses_its_tail_and_spoils_nothing():
    lines = await lines_of("udp", [[whole("a") + b"tail"], [whole("b")]], 2)
    assert lines == ["a 662", "b 662", "short=0 reopened=0 drops=0"]


async def test_an_empty_datagram_costs_a_new_socket_and_no_more():
    lines = await lines_of("udp", [[b""], [whole("a")]], 2)
    assert lines == ["none", "a 662", "short=0 reopened=1 drops=0"]


async def test_sending_to_nobody_is_counted_and_raises_nothing():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    assert await micropython_tests.run("links", "udp_to_nobody", port) == "drops 10\n"


async def test_500_datagrams_each_way_allocate_nothing():
    assert await lines_of("udp_allocation", None) == ["read=500 bytes=0"]
