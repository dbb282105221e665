"""voice.opus_codec: what the link wants of a codec, around what pressroom.opus is."""

from pressroom.opus.errors import BrokenPacket, UnsupportedPacket
from pressroom.voice.opus_codec import OpusIn, OpusOut


class FakeEncoder:
    def __init__(self):
        self.asked = []

    def encode_into(self, pcm_frame, opus_frame):
        opus_frame[0] = pcm_frame[0]
        return 80

    def reset(self):
        self.asked.append("reset")

    def set_bitrate(self, bitrate_bps):
        self.asked.append(bitrate_bps)


class FakeDecoder:
    """Takes what begins with 0xb8; what it plays says what it did."""

    def __init__(self):
        self.asked = []

    def decode_into(self, opus_frame, n_bytes, pcm_frame):
        if not n_bytes:
            raise BrokenPacket("empty")
        if opus_frame[0] != 0xB8:
            raise UnsupportedPacket("not ours")
        self.asked.append(n_bytes)

    def conceal_into(self, pcm_frame):
        self.asked.append("conceal")

    def reset(self):
        self.asked.append("reset")


def test_a_packet_of_ours_is_made_and_taken():
    encoder, decoder = FakeEncoder(), FakeDecoder()
    payload = bytearray(640)
    assert OpusOut(encoder).encode_into(b"\x07" * 640, payload) == 80
    assert payload[0] == 7
    heard = OpusIn(decoder)
    heard.decode_into(b"\xb8" * 80, 80, bytearray(640))
    assert decoder.asked == [80]
    assert heard.n_malformed == 0


def test_what_the_decoder_refuses_is_concealed_and_counted():
    decoder = FakeDecoder()
    heard = OpusIn(decoder)
    for packet in (b"\x08" * 80, b""):
        heard.decode_into(packet, len(packet), bytearray(640))
    assert decoder.asked == ["conceal", "conceal"]
    assert heard.n_malformed == 2


def test_a_lost_packet_is_concealed_but_not_malformed():
    decoder = FakeDecoder()
    heard = OpusIn(decoder)
    heard.conceal_into(bytearray(640))
    assert decoder.asked == ["conceal"]
    assert heard.n_malformed == 0


def test_both_begin_anew_and_the_bitrate_is_set():
    encoder, decoder = FakeEncoder(), FakeDecoder()
    said, heard = OpusOut(encoder), OpusIn(decoder)
    said.reset()
    heard.reset()
    said.set_bitrate(24_000)
    assert encoder.asked == ["reset", 24_000]
    assert decoder.asked == ["reset"]


def test_both_have_the_clock_and_the_type_of_rfc_7587():
    for codec in (OpusOut(FakeEncoder()), OpusIn(FakeDecoder())):
        assert (codec.name, codec.payload_type, codec.ticks_per_frame) == ("opus", 111, 960)
