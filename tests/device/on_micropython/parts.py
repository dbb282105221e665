"""hal's button, LED, store, board file and Wi-Fi over the stand-ins. Runs under MicroPython."""

import asyncio
import json
import os

import chip as board
import esp32
import machine
import network

from pressroom.hal.board import BoardError, load_board
from pressroom.hal.button import Button
from pressroom.hal.clock import now_ms, random_bytes
from pressroom.hal.led import Led
from pressroom.hal.net import Wifi, WifiFailed
from pressroom.hal.store import SettingMissing, Store

PART = {
    "name": "attic",
    "chip": "esp32s3",
    "cpu_hz": 240_000_000,
    "mic": {"kind": "i2s", "id": 0, "sck": 5, "ws": 4, "sd": 6},
    "speaker": {"kind": "i2s", "id": 1, "sck": 15, "ws": 16, "sd": 7},
    "button": {"pin": 0, "active": "low"},
    "led": {"kind": "ws2812", "pin": 48},
}


def refusal_of(kind, function, *arguments):
    """Return the text of the error of that kind that the call raises."""
    try:
        function(*arguments)
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")


def test_a_press_wakes_who_waits_for_an_edge():
    chip = board.power_on()
    button = Button({"pin": 0, "active": "low"})
    seen = []

    async def watch():
        while True:
            await button.wait_edge()
            seen.append(button.is_pressed())

    async def play():
        task = asyncio.create_task(watch())
        for level in (0, 1):
            n_seen = len(seen)
            chip.drive_pin(0, level)
            while len(seen) == n_seen:
                await asyncio.sleep_ms(1)
        task.cancel()

    asyncio.run(asyncio.wait_for(play(), 5))
    assert seen == [True, False]


def test_a_button_that_is_active_high_rests_low():
    chip = board.power_on()
    button = Button({"pin": 3, "active": "high"})
    assert not button.is_pressed()
    chip.drive_pin(3, 1)
    assert button.is_pressed()


def test_an_edge_before_the_wait_is_not_missed():
    chip = board.power_on()
    button = Button({"pin": 0, "active": "low"})
    chip.drive_pin(0, 0)
    asyncio.run(asyncio.wait_for(button.wait_edge(), 1))


def test_a_level_that_stays_calls_no_handler():
    chip = board.power_on()
    calls = []
    machine.Pin(0, machine.Pin.IN, machine.Pin.PULL_UP).irq(calls.append, machine.Pin.IRQ_FALLING)
    for level in (1, 0, 0, 1):
        chip.drive_pin(0, level)
    assert len(calls) == 1


def test_an_addressable_led_shows_a_colour_once():
    board.power_on()
    led = Led({"kind": "ws2812", "pin": 48})
    for _ in range(3):
        led.set_rgb(1, 2, 3)
    assert [fields["rgb"] for kind, _, fields in board.reports.kept if kind == "led"] == [(1, 2, 3)]


def test_a_plain_led_is_on_for_every_colour_but_black():
    for active, on_level in (("high", 1), ("low", 0)):
        chip = board.power_on()
        led = Led({"kind": "gpio", "pin": 2, "active": active})
        led.set_rgb(0, 0, 9)
        assert chip.pin(2).level == on_level
        led.set_rgb(0, 0, 0)
        assert chip.pin(2).level == 1 - on_level


def test_what_is_stored_is_there_after_a_reset():
    board.power_on()
    store = Store("pressroom")
    store.set_text("token", "Grüße")
    store.set_blob("pin0", bytes(range(32)))
    store.set_number("volume", -3)
    board.power_on()
    store = Store("pressroom")
    assert store.text("token") == "Grüße"
    assert store.blob("pin0") == bytes(range(32))
    assert store.number("volume", 7) == -3
    assert Store("other").number("volume", 7) == 7


def test_what_is_not_committed_is_gone_after_a_reset():
    board.power_on()
    nvs = esp32.NVS("pressroom")
    nvs.set_i32("volume", 3)
    assert nvs.get_i32("volume") == 3
    board.power_on()
    refusal_of(OSError, esp32.NVS("pressroom").get_i32, "volume")


def test_a_missing_setting_is_named():
    board.power_on()
    assert refusal_of(SettingMissing, Store("pressroom").text, "gateway_url").startswith("gateway_url is not set")
    assert Store("pressroom").text("gateway_url", "none") == "none"
    assert Store("pressroom").blob("pin1", b"") == b""


def test_nvs_has_the_limits_of_the_chip():
    board.power_on()
    nvs = esp32.NVS("pressroom")
    nvs.set_i32("number", 1)
    nvs.set_blob("blob", b"four")
    assert "NOT_FOUND" in refusal_of(OSError, nvs.get_blob, "number", bytearray(8))
    assert "NOT_FOUND" in refusal_of(OSError, nvs.get_i32, "blob")
    assert "INVALID_LENGTH" in refusal_of(OSError, nvs.get_blob, "blob", bytearray(3))
    assert "KEY_TOO_LONG" in refusal_of(OSError, nvs.set_i32, "sixteen_chars_xx", 1)
    refusal_of(OverflowError, nvs.set_i32, "number", 1 << 31)
    nvs.erase_key("blob")
    refusal_of(OSError, nvs.erase_key, "blob")


def test_a_board_file_is_read():
    board.power_on()
    with open("board.json", "w") as file:
        json.dump(PART, file)
    loaded = load_board("board.json")
    assert (loaded.name, loaded.chip, loaded.mic["sck"], loaded.led["pin"]) == ("attic", "esp32s3", 5, 48)
    loaded.set_full_speed()


def test_a_board_file_that_cannot_be_used_says_why():
    board.power_on()
    assert "nowhere.json is missing" in refusal_of(BoardError, load_board, "nowhere.json")
    for entries, expected in (
        ("{", "is not JSON"),
        ("[]", "it is not an object"),
        (changed("mic", None), "mic is missing"),
        (changed("mic", 3), "mic must be an object"),
        (changed("mic", {"kind": "i2s", "id": 0, "sck": "five", "ws": 4, "sd": 6}), "mic.sck must be a number"),
        (changed("led", {"kind": "lamp", "pin": 2}), "led.kind must be one of: ws2812, gpio"),
        (changed("cpu_hz", "fast"), "cpu_hz must be a number"),
    ):
        with open("board.json", "w") as file:
            file.write(entries)
        text = refusal_of(BoardError, load_board, "board.json")
        assert expected in text, text


def test_a_damaged_board_file_is_loaded_or_named():
    board.power_on()
    good = json.dumps(PART).encode()
    seed = 1
    for _ in range(1_000):
        damaged = bytearray(good)
        for _ in range(3):
            seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
            damaged[(seed >> 8) % len(damaged)] = seed >> 16 & 0xFF
        with open("board.json", "wb") as file:
            file.write(damaged[: len(damaged) - seed % 3])
        try:
            load_board("board.json")
        except BoardError:
            pass


def changed(key, value):
    entries = dict(PART)
    entries[key] = value
    if value is None:
        del entries[key]
    return json.dumps(entries)


def test_every_board_of_the_house_can_be_loaded():
    board.power_on()
    folder = __file__[: __file__.rfind("/tests/")] + "/boards"
    names = [name for name in os.listdir(folder) if name.endswith(".json")]
    assert names
    for name in names:
        assert load_board(folder + "/" + name).name + ".json" == name


def test_wifi_is_joined_after_a_while():
    chip = board.power_on(wifi_delay_ms=500)
    wifi = Wifi("home", "secret")

    async def join():
        task = asyncio.create_task(wifi.connect(1_000))
        await asyncio.sleep_ms(30)
        assert not wifi.is_connected()
        chip.clock.advance_us(500_000)
        await task

    asyncio.run(join())
    assert wifi.is_connected()
    wifi.set_awake(True)
    assert network.WLAN().config("pm") == network.WLAN.PM_NONE


def test_wifi_that_is_not_there_is_named():
    board.power_on(wifi_delay_ms=10_000)
    wifi = Wifi("home", "secret")
    text = refusal_of(WifiFailed, asyncio.run, wifi.connect(50))
    assert "'home'" in text
    assert "secret" not in text


def test_the_clock_wraps_at_30_bits():
    assert 0 <= now_ms() < 1 << 30
    assert len(random_bytes(16)) == 16
    assert random_bytes(16) != random_bytes(16)
