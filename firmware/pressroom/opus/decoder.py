"""The Opus decoder: CELT packets of 20 ms, mono, any bandwidth, to 16 kHz (RFC 6716 section 4.3). No I/O.

packet -> flags, coarse, resolution, boosts -> allocate -> fine -> decode_bands -> finer -> spectrum
spectrum -> scale -> unmix, fft, overlap -> postfilter -> deemphasise -> pcm
"""

from micropython import const

from . import tables
from .allocation import allocate
from .bands_decode import decode_bands, fill_collapsed, fold, haar, interleave, prepare
from .concealment import extend, find_lag
from .energy_decode import boosts, coarse, fine, finer, flags, remember, resolution, silence
from .errors import BrokenPacket, BufferSizeError, UnsupportedPacket
from .fft import fft
from .imdct import overlap, scale, unmix
from .postfilter import deemphasise, postfilter, set_taps
from .pvq_decode import unpulse
from .range_decoder import (
    begin,
    decode_bits,
    decode_choice,
    decode_flag,
    decode_skipping,
    decode_uniform,
    find,
    narrow,
)
from .square_root import square_root
from .workspace import clear, decoder_workspace

_PCM_BYTES = const(640)
_MAX_PACKET_BYTES = const(1276)  # section 3.4: a TOC and a frame of at most 1275
_RANGE = const(0)
_IS_TRANSIENT = const(14)
_IS_SILENT = const(15)
_N_LOST = const(29)
_ANTI_COLLAPSE = const(30)
_END_BAND = const(31)
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_ENERGY_1 = const(1736)
_ENERGY_2 = const(1760)
_DECODER_CORRECTIONS = const(2796)
_ALL_BANDS = const(21)
_ABSENT = const(-28 * 1024)

_FIRST_CELT = const(0x80)  # section 3.1, table 2: configurations 16 to 31
_SIZE_MASK = const(0x18)
_20_MS = const(0x18)
_STEREO = const(0x04)
_CODE_MASK = const(0x03)
_DTX_BYTES = const(2)
_END_BANDS = bytes((13, 17, 19, 21))  # narrow, wide, super wide and full band


class Decoder:
    """Decodes one stream. Allocates when made, never per frame."""

    def __init__(self):
        self._w = decoder_workspace()
        self.reset()

    def reset(self):
        """Forget the past: what comes next begins a stream."""
        w = self._w
        clear(w, len(w))
        for i in range(len(tables.LOG2_CORRECTION)):
            w[_DECODER_CORRECTIONS + i] = tables.LOG2_CORRECTION[i]
        for i in range(_ALL_BANDS):
            w[_ENERGY_1 + i] = _ABSENT
            w[_ENERGY_2 + i] = _ABSENT

    def decode_into(self, opus_frame, n_bytes, pcm_frame):
        """Write the 20 ms of the packet opus_frame[:n_bytes]; pcm_frame: 320 samples, 16 bit little-endian.

        A packet of at most two bytes says that nothing was said (section 2.1.9): it is concealed. Any other of the
        right kind gives sound, whatever its bytes are.
        Raises UnsupportedPacket, BrokenPacket, BufferSizeError, each before any work.
        """
        _check_pcm(pcm_frame)
        if not 0 <= n_bytes <= len(opus_frame):
            raise BufferSizeError(
                "opus_frame has %d bytes; the packet was said to have %d" % (len(opus_frame), n_bytes)
            )
        if not 0 < n_bytes <= _MAX_PACKET_BYTES:
            raise BrokenPacket("a packet of %d bytes; one frame of Opus has 1 to 1276; drop it" % n_bytes)
        toc = opus_frame[0]
        if toc & _SIZE_MASK != _20_MS or toc < _FIRST_CELT or toc & (_STEREO | _CODE_MASK):
            raise UnsupportedPacket(
                "a packet that begins with 0x%02x: this decoder takes mono CELT of one frame of 20 ms "
                "(0x98, 0xb8, 0xd8, 0xf8); let the gateway transcode others" % toc
            )
        if n_bytes <= _DTX_BYTES:
            self.conceal_into(pcm_frame)
            return
        w = self._w
        w[_END_BAND] = _END_BANDS[toc >> 5 & 3]
        begin(w, opus_frame, n_bytes)
        flags(w, find, narrow, decode_choice, decode_uniform, decode_flag, decode_bits)
        if w[_IS_SILENT]:
            silence(w)
        else:
            self._decode_spectrum()
        remember(w)
        scale(w, tables.BAND_EDGES, tables.ENERGY_MEANS, tables.EXP2)
        if w[_IS_TRANSIENT]:
            unmix(w, tables.MDCT_TRIG_SHORT, tables.FFT_IN_SHORT, 1)
            fft(w, tables.FFT_TWIDDLES, 1)
            overlap(w, tables.MDCT_TRIG_SHORT, tables.WINDOW, tables.FFT_OUT_SHORT, 1)
        else:
            unmix(w, tables.MDCT_TRIG, tables.FFT_IN, 0)
            fft(w, tables.FFT_TWIDDLES, 0)
            overlap(w, tables.MDCT_TRIG, tables.WINDOW, tables.FFT_OUT, 0)
        postfilter(w, set_taps, tables.POSTFILTER_TAPS, tables.WINDOW)
        deemphasise(w, pcm_frame)
        w[_N_LOST] = 0

    def conceal_into(self, pcm_frame):
        """Write 20 ms in place of a packet that was lost. Raises BufferSizeError."""
        _check_pcm(pcm_frame)
        w = self._w
        w[_RANGE] = 0
        if not w[_N_LOST]:
            find_lag(w)
        extend(w, tables.WINDOW)
        postfilter(w, set_taps, tables.POSTFILTER_TAPS, tables.WINDOW)
        deemphasise(w, pcm_frame)

    def final_range(self):
        """Return the range coder's last range, by which two implementations can tell that they agree. Allocates."""
        return self._w[_RANGE] & 0xFFFFFFFF

    def _decode_spectrum(self):
        w = self._w
        edges = tables.BAND_EDGES
        coarse(w, find, narrow, decode_choice, decode_flag, tables.COARSE_PROBS)
        resolution(w, find, narrow, decode_choice, decode_flag, tables.TF_SELECT)
        boosts(w, find, narrow, decode_flag, edges, tables.CAPS, tables.TRIM_ICDF)
        allocate(w, decode_skipping, find, decode_flag, edges, tables.ALLOCATION, tables.CAPS, tables.LOG_N)
        fine(w, decode_bits)
        decode_bands(
            w,
            find,
            narrow,
            decode_uniform,
            decode_bits,
            square_root,
            unpulse,
            prepare,
            fold,
            haar,
            interleave,
            tables.HADAMARD_ORDER,
            tables.ROTATION_COS,
            tables.PVQ_U,
            tables.PVQ_ROWS,
            edges,
            tables.LOG_N,
            tables.CACHE_INDEX,
            tables.CACHE_BITS,
            tables.QN_EXP2,
            tables.BIT_INTERLEAVE,
            tables.BIT_DEINTERLEAVE,
        )
        is_filled = 0
        if w[_ANTI_COLLAPSE]:
            w[_RAW_BITS] = 1
            decode_bits(w)
            is_filled = w[_RAW_VALUE]
        finer(w, decode_bits)
        if is_filled:
            fill_collapsed(w, square_root, edges, tables.EXP2)


def _check_pcm(pcm_frame):
    if len(pcm_frame) != _PCM_BYTES:
        raise BufferSizeError("pcm_frame has %d bytes; 20 ms at 16 kHz are 640" % len(pcm_frame))
