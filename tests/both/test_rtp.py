"""wire.rtp: headers as RFC 3550 section 5.1 draws them, and whatever else may come in."""

from portable import N_EXAMPLES, Noise, allocates_nothing

from pressroom.wire import rtp

SSRC = b"\xca\xfe\xba\xbe"


def out(seq=0x1234, timestamp=b"\xde\xca\xfb\xad", ticks_per_frame=320):
    return rtp.RtpOut(SSRC, rtp.PT_L16, seq, timestamp, ticks_per_frame)


def written(stream, is_marked=False):
    packet = bytearray(rtp.HEADER_BYTES)
    stream.write_header_into(packet, is_marked)
    return bytes(packet)


def test_a_header_is_written_as_the_rfc_draws_it():
    assert written(out()) == b"\x80\x60\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe"


def test_the_marker_sets_the_top_bit_of_the_type():
    packet = written(out(), is_marked=True)
    assert packet[1] == 0xE0
    assert rtp.is_marked(packet)
    assert rtp.payload_type(packet) == rtp.PT_L16
    assert not rtp.is_marked(written(out()))


def test_each_frame_takes_a_number_and_its_time():
    stream = out(seq=65_535, timestamp=b"\xff\xff\xff\x00")
    numbers = []
    for _ in range(3):
        packet = written(stream)
        numbers.append((rtp.seq(packet), rtp.timestamp(packet)))
    assert numbers == [(65_535, 0xFFFFFF00), (0, 64), (1, 384)]


def test_a_keepalive_takes_a_number_but_no_time():
    stream = out()
    packet = bytearray(13)
    stream.write_keepalive_into(packet)
    assert rtp.payload_type(packet) == rtp.PT_KEEPALIVE
    assert not rtp.is_marked(packet)
    assert (rtp.seq(packet), rtp.timestamp(packet)) == (0x1234, 0xDECAFBAD)
    packet = written(stream)
    assert (rtp.seq(packet), rtp.timestamp(packet)) == (0x1235, 0xDECAFBAD)


def test_time_passes_unsent_and_goes_back_for_the_pre_roll():
    stream = out(timestamp=b"\xff\xff\xfe\xc0")
    stream.skip_frames(1)
    assert stream.timestamp == 0
    stream.skip_frames(-10)
    assert stream.timestamp == (1 << 32) - 3_200
    stream.skip_frames(500_000)  # 10,000 s
    assert stream.timestamp == (499_990 * 320) & 0xFFFFFFFF
    assert stream.seq == 0x1234


def test_the_payload_follows_sources_and_extension():
    packet = b"\x92\x60" + bytes(10) + bytes(8) + b"\xbe\xde\x00\x01" + bytes(4) + b"voice"
    assert rtp.payload_start(packet, len(packet)) == 12 + 8 + 4 + 4
    assert rtp.payload_end(packet, len(packet)) == len(packet)


def test_each_bit_of_the_first_byte_means_one_thing():
    words = b"\x00\x60" + bytes(10) + b"\x00\x00\x00\x01" * 16 + b"\x00\x00\x00\x02"
    for first_byte, start, n_padding in ((0x80, 12, 0), (0x81, 16, 0), (0x8F, 72, 0), (0xA0, 12, 2), (0xA1, 16, 2)):
        packet = bytes((first_byte,)) + words[1:]
        assert rtp.payload_start(packet, len(packet)) == start
        assert rtp.payload_end(packet, len(packet)) == len(packet) - n_padding
    assert rtp.payload_start(b"\x90" + words[1:], len(words)) == 12 + 4 + 4
    assert rtp.payload_start(words[:1] + words[1:], len(words)) == -1


def test_an_extension_may_be_longer_than_255_words():
    packet = b"\x90\x60" + bytes(10) + b"\xbe\xde\x01\x02" + bytes(4 * 0x102)
    assert rtp.payload_start(packet, len(packet)) == len(packet)


def test_a_header_alone_is_a_packet():
    assert rtp.payload_start(b"\x80" + bytes(11), 12) == 12
    assert rtp.payload_end(b"\x80" + bytes(11), 12) == 12


def test_payload_types_are_those_of_the_link():
    assert (rtp.PT_L16, rtp.PT_OPUS, rtp.PT_KEEPALIVE) == (96, 111, 127)


def test_padding_ends_the_payload():
    packet = b"\xa0\x60" + bytes(10) + b"voice" + b"\x00\x00\x03"
    assert rtp.payload_end(packet, len(packet)) == 17
    all_padding = b"\xa0\x60" + bytes(10) + b"\x01"
    assert rtp.payload_end(all_padding, 13) == rtp.payload_start(all_padding, 13) == 12


def test_more_padding_than_payload_is_malformed():
    for last in (0, 9, 255):
        packet = b"\xa0\x60" + bytes(10) + bytes(7) + bytes((last,))
        assert rtp.payload_start(packet, len(packet)) == 12
        assert rtp.payload_end(packet, len(packet)) == -1
    assert rtp.payload_end(b"\xa0\x60" + bytes(10), 12) == -1  # its last byte is the SSRC's, not padding


def test_what_is_cut_short_is_malformed():
    packet = b"\x92\x60" + bytes(10) + bytes(8) + b"\xbe\xde\x00\x01" + bytes(4)
    for n_bytes in range(len(packet)):
        assert rtp.payload_start(packet, n_bytes) == -1
    assert rtp.payload_start(packet, len(packet)) == len(packet)
    assert rtp.payload_start(b"", 0) == -1


def test_another_version_is_malformed():
    for version in (0x00, 0x40, 0xC0):
        assert rtp.payload_start(bytes((version,)) + bytes(20), 21) == -1


def test_any_input_is_read_within_its_bounds():
    noise = Noise(1)
    packet = b"\xb3\xe0\x12\x34" + bytes(8) + bytes(12) + b"\xbe\xde\x00\x02" + bytes(8) + bytes(40) + b"\x04"
    for i in range(N_EXAMPLES):
        octets = noise.octets(noise.below(60)) if i % 3 == 0 else noise.mutated(packet)
        start = rtp.payload_start(octets, len(octets))
        end = rtp.payload_end(octets, len(octets))
        assert start == -1 or 12 <= start <= len(octets)
        assert end == -1 or start <= end <= len(octets)
        if start >= 0:
            assert 0 <= rtp.payload_type(octets) <= 127
            assert 0 <= rtp.seq(octets) <= 65_535


def test_writing_and_reading_allocate_nothing():
    stream = out(seq=65_500, timestamp=b"\xff\xff\xff\x00")
    packet = bytearray(652)

    def step():
        stream.write_header_into(packet, False)
        stream.write_keepalive_into(packet)
        stream.skip_frames(10)
        rtp.payload_start(packet, 652)
        rtp.payload_end(packet, 652)
        rtp.payload_type(packet)
        rtp.is_marked(packet)
        rtp.seq(packet)

    assert allocates_nothing(step)
