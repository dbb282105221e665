"""libopus, the reference: packets of any kind, and the final range of each (OPUS_GET_FINAL_RANGE)."""

import ctypes
from collections.abc import Iterable

import numpy as np
import opuslib_next.api as api
from tests.opus.signals import Samples

VOIP, AUDIO, LOW_DELAY = 2048, 2049, 2051
NARROW, MEDIUM, WIDE, SUPER_WIDE, FULL = range(1101, 1106)

_SET_BITRATE, _SET_BANDWIDTH, _SET_VBR, _SET_COMPLEXITY, _GET_FINAL_RANGE = 4002, 4008, 4006, 4010, 4031
_MAX_PACKET_BYTES = 1_500

_opus = ctypes.CDLL(api.libopus._name)  # of our own, since opuslib declares other types
_opus.opus_encoder_create.restype = _opus.opus_decoder_create.restype = ctypes.c_void_p


def _ctl(call: object, coder: ctypes.c_void_p, request: int, value: object) -> None:
    assert call(coder, request, value) == 0, f"libopus refuses request {request}"


def encode(
    samples: Samples,
    bitrate_bps: int,
    complexity: int = 5,
    *,
    application: int = LOW_DELAY,
    rate_hz: int = 16_000,
    is_vbr: bool = False,
    bandwidth: int | None = None,
) -> list[bytes]:
    """Return a packet for each 20 ms of the samples."""
    error = ctypes.c_int()
    coder = ctypes.c_void_p(_opus.opus_encoder_create(rate_hz, 1, application, ctypes.byref(error)))
    assert error.value == 0
    settings = [(_SET_BITRATE, bitrate_bps), (_SET_VBR, int(is_vbr)), (_SET_COMPLEXITY, complexity)]
    if bandwidth is not None:
        settings.append((_SET_BANDWIDTH, bandwidth))
    for request, value in settings:
        _ctl(_opus.opus_encoder_ctl, coder, request, ctypes.c_int32(value))
    n_samples = rate_hz // 50
    out = ctypes.create_string_buffer(_MAX_PACKET_BYTES)
    packets = []
    for start in range(0, len(samples) - n_samples + 1, n_samples):
        frame = np.ascontiguousarray(samples[start : start + n_samples], np.int16)
        pointer = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_int16))
        n_bytes = _opus.opus_encode(coder, pointer, n_samples, out, _MAX_PACKET_BYTES)
        assert n_bytes > 0
        packets.append(out.raw[:n_bytes])
    _opus.opus_encoder_destroy(coder)
    return packets


def decode(packets: Iterable[bytes | None]) -> tuple[Samples, list[int]]:
    """Return the sound at 16 kHz, and the final range after each packet; None is one that was lost."""
    error = ctypes.c_int()
    coder = ctypes.c_void_p(_opus.opus_decoder_create(16_000, 1, ctypes.byref(error)))
    assert error.value == 0
    frame = (ctypes.c_int16 * 320)()
    sound, ranges = [], []
    for packet in packets:
        n_samples = _opus.opus_decode(coder, packet, len(packet or b""), frame, 320, 0)
        assert n_samples == 320, f"libopus: {n_samples}"
        sound.append(np.frombuffer(frame, np.int16).copy())
        value = ctypes.c_uint32()
        _ctl(_opus.opus_decoder_ctl, coder, _GET_FINAL_RANGE, ctypes.byref(value))
        ranges.append(value.value)
    _opus.opus_decoder_destroy(coder)
    return np.concatenate(sound), ranges


def three_times_faster(samples: Samples) -> Samples:
    """Return the same sound at 48 kHz."""
    spectrum = np.fft.rfft(samples.astype(float))
    wide = np.zeros(3 * len(samples) // 2 + 1, complex)
    wide[: len(spectrum)] = 3 * spectrum
    return np.clip(np.rint(np.fft.irfft(wide, 3 * len(samples))), -32_768, 32_767).astype(np.int16)
