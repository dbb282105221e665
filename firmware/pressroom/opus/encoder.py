"""The Opus encoder: 20 ms of 16 kHz mono in, a CELT packet of constant size out (RFC 6716 section 5.3). No I/O.

pcm -> preemphasise -> fold, fft, unfold -> spectrum -> measure -> energies
energies -> header (flags, coarse energy, boosts, trim) -> allocate -> fine -> encode_bands -> finer -> packet
"""

from micropython import const

from . import tables
from .allocation import allocate
from .bands_encode import encode_bands
from .energy_encode import fine, finer, header, measure
from .errors import BitrateError, BufferSizeError
from .fft import fft
from .mdct import fold, preemphasise, unfold
from .pvq_encode import rotate, search
from .range_encoder import begin, encode, encode_bits, finish, note_bit
from .square_root import square_root
from .workspace import clear, encoder_workspace

FRAME_SAMPLES = const(320)
MIN_BITRATE_BPS = const(16_000)
MAX_BITRATE_BPS = const(64_000)

_BPS_PER_BYTE = const(400)  # 50 packets a second of 8 bits
_PCM_BYTES = const(640)
_RANGE = const(0)
_STORAGE = const(9)
_NOTED = const(11)
_IS_INTRA = const(13)
_SPREAD = const(22)
_TRIM = const(23)
_END_BAND = const(31)

_N_BANDS = const(17)
_NORMAL_SPREAD = const(2)
_NORMAL_TRIM = const(5)


class Encoder:
    """Encodes one stream. Allocates when made, never per frame.

    bitrate_bps: 16,000 to 64,000 in steps of 400, the TOC byte counted in. Raises BitrateError.
    """

    def __init__(self, bitrate_bps=32_000):
        self.n_frame_bytes = 0
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
        self._w[_STORAGE] = self.n_frame_bytes - 1

    def reset(self):
        """Forget the past: the next frame begins a stream."""
        w = self._w
        clear(w, len(w))
        w[_STORAGE] = self.n_frame_bytes - 1
        w[_IS_INTRA] = 1
        w[_END_BAND] = _N_BANDS
        w[_SPREAD] = _NORMAL_SPREAD

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
        begin(w)
        preemphasise(w, pcm_frame)
        fold(w, tables.MDCT_TRIG, tables.WINDOW, tables.FFT_IN, 0)
        fft(w, tables.FFT_TWIDDLES, 0)
        unfold(w, tables.MDCT_TRIG, tables.FFT_OUT, 0)
        measure(w, tables.BAND_EDGES, tables.ENERGY_MEANS, tables.LOG2)
        w[_TRIM] = _NORMAL_TRIM
        header(
            w,
            tables.BAND_EDGES,
            tables.CAPS,
            tables.COARSE_PROBS,
            tables.TF_SELECT,
            tables.TRIM_ICDF,
            tables.LOG2_CORRECTION,
        )
        w[_NOTED] = 0
        allocate(w, note_bit, tables.LOG2_CORRECTION, tables.BAND_EDGES, tables.ALLOCATION, tables.CAPS, tables.LOG_N)
        if w[_NOTED]:
            encode(w, 1, 2, 2, tables.LOG2_CORRECTION)
        fine(w, encode_bits)
        encode_bands(
            w,
            encode,
            encode_bits,
            rotate,
            search,
            square_root,
            tables.LOG2_CORRECTION,
            tables.ROTATION_COS,
            tables.PVQ_U,
            tables.PVQ_ROWS,
            tables.BAND_EDGES,
            tables.LOG_N,
            tables.CACHE_INDEX,
            tables.CACHE_BITS,
            tables.QN_EXP2,
        )
        finer(w, encode_bits)
        finish(w, opus_frame)
        w[_IS_INTRA] = 0
        return self.n_frame_bytes

    def final_range(self):
        """Return the range coder's last range, by which two implementations can tell that they agree. Allocates."""
        return self._w[_RANGE] & 0xFFFFFFFF
