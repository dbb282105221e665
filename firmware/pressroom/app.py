"""The composition root: board file and store in, a running Device out. The only file that knows both hal and voice."""

import asyncio
import json

from .hal.board import BoardError, load_board
from .hal.button import Button
from .hal.clock import now_ms, random_bytes
from .hal.led import Led
from .hal.mic import Mic
from .hal.net import UdpLink, Wifi, WifiFailed
from .hal.signalling import ConnectRefused, LinkClosed, SignallingSocket
from .hal.speaker import Speaker
from .hal.store import SettingMissing, Store
from .voice.controls import StatusLed
from .voice.device import Device, Settings
from .voice.l16 import L16
from .voice.led_states import CONNECTING, ERROR
from .voice.link import LinkFailed, LinkRefused
from .voice.log import Log, quoted
from .voice.opus_codec import OpusIn, OpusOut
from .wire.port import const
from .wire.websocket import UpgradeRefused

FIRMWARE = "0.1.0"

_WIFI_TIMEOUT_MS = const(20_000)
_PIN_BYTES = const(32)  # SHA-256
_REFUSING_STATUS = (401, 403)


class GatewaySocket(SignallingSocket):
    """A signalling socket that fails in the words of voice.link."""

    async def connect(self, url, pins, token, timeout_ms):
        try:
            await super().connect(url, pins, token, timeout_ms)
        except ConnectRefused as error:
            raise LinkRefused(error.reason, str(error))
        except UpgradeRefused as error:
            if error.status in _REFUSING_STATUS:
                raise LinkRefused(*_reason_and_message(error.body))
            raise LinkFailed(str(error))
        except LinkClosed as error:
            raise LinkFailed(str(error))

    async def receive(self):
        try:
            return await super().receive()
        except LinkClosed as error:
            raise LinkFailed(str(error))


class SettingUnusable(Exception):
    """A setting is there, but is not what it should be."""


def run(tools=None):
    """Run the device until its Session ends for good; a board that cannot start says why and stops.

    tools: what agents may have it do; see voice/tools.py.
    """
    log = Log(print)
    try:
        board = load_board()
        store = Store("pressroom")
        settings = load_settings(store, board.name)
        wifi = Wifi(_text(store, "wifi_ssid"), _text(store, "wifi_password", ""))
    except (BoardError, SettingMissing, SettingUnusable) as error:
        log.line("state=error error=%s" % quoted(error), now_ms())
        return
    codecs_up, codecs_dn = load_codecs(settings.opus_bps, log)
    asyncio.run(_run(board, settings, wifi, codecs_up, codecs_dn, log, tools))


def load_codecs(opus_bps, log):
    """Return what this chip can speak and what it can hear, the best first.

    The codec's machine code takes executable memory, which some boards have only for one direction, or none: what does
    not load is not offered, and the gateway transcodes. The encoder comes first, since L16 costs most on the way up.
    """
    codecs_up = [L16()]
    codecs_dn = [L16()]
    try:
        from .opus.encoder import Encoder

        codecs_up.insert(0, OpusOut(Encoder(opus_bps)))
        from .opus.decoder import Decoder

        codecs_dn.insert(0, OpusIn(Decoder()))
    except (ImportError, MemoryError, SyntaxError) as error:  # no viper in this port is a SyntaxError
        log.line("opus=partly up=%d dn=%d error=%s" % (len(codecs_up) - 1, len(codecs_dn) - 1, quoted(error)), now_ms())
    return codecs_up, codecs_dn


async def _run(board, settings, wifi, codecs_up, codecs_dn, log, tools):
    board.set_full_speed()
    led = Led(board.led)
    device = Device(
        mic=Mic(board.mic),
        speaker=Speaker(board.speaker),
        button=Button(board.button),
        led=led,
        socket=GatewaySocket(),
        open_udp=UdpLink,
        now_ms=now_ms,
        random_bytes=random_bytes,
        codecs_up=codecs_up,
        codecs_dn=codecs_dn,
        settings=settings,
        log=log,
        tools=tools,
    )
    await _join_wifi(wifi, StatusLed(led), log)
    await device.run()


async def _join_wifi(wifi, led, log):
    """Try until it works: the access point may just be starting."""
    led.show(CONNECTING)
    while True:
        try:
            await wifi.connect(_WIFI_TIMEOUT_MS)
        except WifiFailed as error:
            led.show(ERROR)
            log.line("state=error error=%s" % quoted(error), now_ms())
        else:
            wifi.set_awake(True)
            return


def load_settings(store, board_name):
    """Return the Settings in a store. Raises SettingMissing or SettingUnusable."""
    pins = [pin for pin in (store.blob("pin0", b""), store.blob("pin1", b"")) if pin]
    for pin in pins:
        if len(pin) != _PIN_BYTES:
            raise SettingUnusable("a pin has %d bytes; it is the SHA-256 of a certificate and has 32" % len(pin))
    return Settings(
        url=_text(store, "gateway_url"),
        token=_text(store, "token"),
        pins=pins,
        board=board_name,
        fw=FIRMWARE,
        preroll_ms=store.number("preroll_ms", 200),
        full_duplex=store.number("full_duplex", 0) != 0,
        mic_gain=store.number("mic_gain", 4),
        volume=store.number("volume", 100),
        opus_bps=_opus_bps(store),
    )


def _opus_bps(store):
    opus_bps = store.number("opus_bps", 32_000)
    if not 16_000 <= opus_bps <= 64_000 or opus_bps % 400:
        raise SettingUnusable("opus_bps is %d; it is 16000 to 64000 in steps of 400, such as 32000" % opus_bps)
    return opus_bps


def _text(store, key, default=None):
    try:
        return store.text(key, default)
    except UnicodeError:
        raise SettingUnusable("%s is not UTF-8 text; give it to the board again" % key)


def _reason_and_message(body):
    """Return what a refusal says of itself, as docs/link.md promises, or what can be said without."""
    try:
        told = json.loads(body)
        return str(told["reason"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        return "UNAUTHORIZED", ""
