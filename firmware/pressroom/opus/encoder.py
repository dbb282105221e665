"""The Opus encoder: 20 ms of 16 kHz mono in, a CELT packet of constant size out (RFC 6716 section 5.3). No I/O.

pcm -> preemphasise -> fold, fft, unfold -> spectrum -> measure -> energies
energies -> tilt, emphasise -> coarse, resolution, boosts -> allocate -> fine -> encode_bands -> finer -> packet
"""

from micropython import const

from . import tables
from .allocation import allocate
from .analysis import emphasise, tilt
from .bands_encode import encode_bands
from .energy_encode import boosts, coarse, fine, finer, flags, measure, resolution
from .errors import BitrateError, BufferSizeError
from .fft import fft
from .mdct import fold, preemphasise, unfold
from .pvq_encode import rotate, search
from .range_encoder import begin, encode, encode_bits, encode_flag, end_skipping, finish
from .square_root import square_root
from .workspace import clear, encoder_workspace

FRAME_SAMPLES = const(320)
MIN_BITRATE_BPS = const(16_000)
MAX_BITRATE_BPS = const(64_000)

_BPS_PER_BYTE = const(400)  # 50 packets a second of 8 bits
_PCM_BYTES = const(640)
_RANGE = const(0)
_STORAGE = const(9)
_IS_INTRA = const(13)
_IS_SILENT = const(15)
_SPREAD = const(22)
_END_BAND = const(31)
_ENCODER_CORRECTIONS = const(1584)

_N_BANDS = const(17)
_NORMAL_SPREAD = const(2)
_NO_SPREAD = const(0)
_MANY_BYTES = const(80)  # 32 kbit/s: pulses are so many that spreading them is not heard, and costs 45,000 instructions


class Encoder:
    """Encodes one stream. Allocates when made, never per frame.

    bitrate_bps: 16,000 to 64,000 in steps of 400, the TOC byte counted in. Raises BitrateError.
    """

    def __init__(self, bitrate_bps=32_000):
        self.n_frame_bytes = 0
        self._spread = _NORMAL_SPREAD
        self._w = encoder_workspace()
        self.set_bitrate(bitrate_bps)
        self.reset()

    def set_bitrate(self, bitrate_bps):
        """Make packets of bitrate_bps // 400 bytes from the next frame on. Raises BitrateError."""
        if not MIN_BITRATE_BPS <= bitrate_bps <= MAX_BITRATE_BPS or bitrate_bps % _BPS_PER_BYTE:
            raise BitrateError(
                "%s bit/s: this encoder has 16000 to 64000 in steps of 400; choose 32000, or 24000 on a bad network"
                % bitrate_bps
            )
        self.n_frame_bytes = bitrate_bps // _BPS_PER_BYTE
        self._spread = _NORMAL_SPREAD if self.n_frame_bytes < _MANY_BYTES else _NO_SPREAD
        self._w[_STORAGE] = self.n_frame_bytes - 1

    def reset(self):
        """Forget the past: the next frame begins a stream."""
        w = self._w
        clear(w, len(w))
        w[_STORAGE] = self.n_frame_bytes - 1
        w[_IS_INTRA] = 1
        w[_END_BAND] = _N_BANDS
        for i in range(len(tables.LOG2_CORRECTION)):
            w[_ENCODER_CORRECTIONS + i] = tables.LOG2_CORRECTION[i]

    def encode_into(self, pcm_frame, opus_frame):
        """Encode 20 ms; returns n_frame_bytes. pcm_frame: 320 samples, 16 bit little-endian; opus_frame: writable.

        Raises BufferSizeError if one of them is too short.
        """
        if len(pcm_frame) != _PCM_BYTES:
            raise BufferSizeError("pcm_frame has %d bytes; 20 ms at 16 kHz are 640" % len(pcm_frame))
        if len(opus_frame) < self.n_frame_bytes:
            raise BufferSizeError(
                "opus_frame has %d bytes; packets of this bitrate have %d" % (len(opus_frame), self.n_frame_bytes)
            )
        w = self._w
        w[_SPREAD] = self._spread
        begin(w)
        preemphasise(w, pcm_frame)
        flags(w, encode, encode_flag)
        if not w[_IS_SILENT]:
            self._encode_spectrum()
            w[_IS_INTRA] = 0
        finish(w, opus_frame)
        return self.n_frame_bytes

    def final_range(self):
        """Return the range coder's last range, by which two implementations can tell that they agree. Allocates."""
        return self._w[_RANGE] & 0xFFFFFFFF

    def _encode_spectrum(self):
        w = self._w
        edges = tables.BAND_EDGES
        fold(w, tables.MDCT_TRIG, tables.WINDOW, tables.FFT_IN)
        fft(w, tables.FFT_TWIDDLES, 0)
        unfold(w, tables.MDCT_TRIG, tables.FFT_OUT)
        measure(w, edges, tables.ENERGY_MEANS, tables.LOG2)
        tilt(w)
        emphasise(w, edges, tables.LOG_N, tables.ENERGY_MEANS)
        coarse(w, encode, encode_flag, tables.COARSE_PROBS)
        resolution(w, encode, encode_flag)
        boosts(w, encode, encode_flag, edges, tables.CAPS, tables.TRIM_ICDF)
        allocate(w, end_skipping, encode, encode_flag, edges, tables.ALLOCATION, tables.CAPS, tables.LOG_N)
        fine(w, encode_bits)
        encode_bands(
            w,
            encode,
            encode_bits,
            rotate,
            search,
            square_root,
            tables.ROTATION_COS,
            tables.PVQ_U,
            tables.PVQ_ROWS,
            edges,
            tables.LOG_N,
            tables.CACHE_INDEX,
            tables.CACHE_BITS,
            tables.QN_EXP2,
        )
        finer(w, encode_bits)
