"""wire.opus_packet: the tables and requirements of RFC 6716 sections 3.1 to 3.4."""

from portable import N_EXAMPLES, Noise, allocates_nothing, raised

from pressroom.wire import opus_packet as opus
from pressroom.wire.opus_packet import CELT, FULL, HYBRID, MEDIUM, NARROW, SILK, SUPER_WIDE, WIDE, OpusPacketError

# RFC 6716 table 2: configurations, mode, bandwidth, frame sizes
TABLE_2 = (
    (0, SILK, NARROW, (10_000, 20_000, 40_000, 60_000)),
    (4, SILK, MEDIUM, (10_000, 20_000, 40_000, 60_000)),
    (8, SILK, WIDE, (10_000, 20_000, 40_000, 60_000)),
    (12, HYBRID, SUPER_WIDE, (10_000, 20_000)),
    (14, HYBRID, FULL, (10_000, 20_000)),
    (16, CELT, NARROW, (2_500, 5_000, 10_000, 20_000)),
    (20, CELT, WIDE, (2_500, 5_000, 10_000, 20_000)),
    (24, CELT, SUPER_WIDE, (2_500, 5_000, 10_000, 20_000)),
    (28, CELT, FULL, (2_500, 5_000, 10_000, 20_000)),
)


def toc(config, is_stereo=False, code=0):
    return config << 3 | (4 if is_stereo else 0) | code


def refused(requirement, packet):
    text = str(raised(OpusPacketError, opus.parse_packet, packet))
    assert requirement in text, text


def test_each_configuration_is_that_of_the_rfc():
    n_configs = 0
    for first, mode, bandwidth_hz, frames_us in TABLE_2:
        for config, frame_us in enumerate(frames_us, first):
            for code in range(8):  # channels and count do not matter
                byte = config << 3 | code
                assert opus.mode(byte) == mode
                assert opus.bandwidth_hz(byte) == bandwidth_hz
                assert opus.frame_us(byte) == frame_us
            n_configs += 1
    assert n_configs == 32


def test_the_stereo_bit_is_read():
    assert opus.is_stereo(toc(31, is_stereo=True))
    for code in range(4):
        assert not opus.is_stereo(toc(31, code=code))


def test_bandwidths_are_those_of_the_rfc():
    assert (NARROW, MEDIUM, WIDE, SUPER_WIDE, FULL) == (4_000, 6_000, 8_000, 12_000, 20_000)


def test_the_duration_counts_all_frames():
    assert opus.n_samples_48k(bytes((toc(19),)), 0, 1) == 960
    assert opus.n_samples_48k(bytes((toc(16, code=1),)), 0, 1) == 240
    assert opus.n_samples_48k(bytes((toc(3, code=3), 2)), 0, 2) == 5_760
    assert opus.n_samples_48k(b"...." + bytes((toc(31, code=2),)), 4, 1) == 1_920


def test_a_count_that_cannot_be_is_refused():
    for packet in (b"", bytes((toc(31, code=3),)), bytes((toc(31, code=3), 0)), bytes((toc(31, code=3), 7))):
        assert opus.n_frames(packet, 0, len(packet)) == -1
        assert opus.n_samples_48k(packet, 0, len(packet)) == -1
    assert opus.n_frames(bytes((toc(31, code=3), 6)), 0, 2) == 6  # 120 ms: R5


def test_code_0_is_one_frame():
    assert opus.parse_packet(bytes((toc(31),)) + b"abc") == [(1, 3)]
    assert opus.parse_packet(bytes((toc(31),))) == [(1, 0)]  # DTX


def test_code_1_is_two_equal_frames():
    assert opus.parse_packet(bytes((toc(31, code=1),)) + b"abcd") == [(1, 2), (3, 2)]
    refused("R3", bytes((toc(31, code=1),)) + b"abc")


def test_code_2_is_two_frames_with_a_length():
    assert opus.parse_packet(bytes((toc(31, code=2), 1)) + b"abc") == [(2, 1), (3, 2)]
    assert opus.parse_packet(bytes((toc(31, code=2), 251)) + bytes(251)) == [(2, 251), (253, 0)]
    assert opus.parse_packet(bytes((toc(31, code=2), 252, 0)) + bytes(252)) == [(3, 252), (255, 0)]
    long = bytes((toc(31, code=2), 253, 1)) + bytes(257 + 5)
    assert opus.parse_packet(long) == [(3, 257), (260, 5)]
    refused("R4", bytes((toc(31, code=2),)))
    refused("R4", bytes((toc(31, code=2), 252)))
    refused("R4", bytes((toc(31, code=2), 4)) + b"abc")


def test_code_3_is_any_number_of_frames():
    assert opus.parse_packet(bytes((toc(31, code=3), 3)) + b"aabbcc") == [(2, 2), (4, 2), (6, 2)]
    assert opus.parse_packet(bytes((toc(31, code=3), 0x80 | 3, 1, 2)) + b"abbccc") == [(4, 1), (5, 2), (7, 3)]
    assert opus.parse_packet(bytes((toc(31, code=3), 2))) == [(2, 0), (2, 0)]
    assert opus.parse_packet(bytes((toc(31, code=3), 0x80 | 2, 3)) + b"aaa") == [(3, 3), (6, 0)]
    refused("R6", bytes((toc(31, code=3), 3)) + b"aabbc")
    refused("R7", bytes((toc(31, code=3), 0x80 | 3, 1, 9)) + b"abb")
    refused("R7", bytes((toc(31, code=3), 0x80 | 3, 1)))


def test_padding_is_left_out():
    assert opus.parse_packet(bytes((toc(31, code=3), 0x40 | 1, 2)) + b"abc" + bytes(2)) == [(3, 3)]
    many = bytes((toc(31, code=3), 0x40 | 1, 255, 3)) + b"abc" + bytes(254 + 3)
    assert opus.parse_packet(many) == [(4, 3)]
    refused("R6", bytes((toc(31, code=3), 0x40 | 1, 4)) + b"abc")
    refused("R7", bytes((toc(31, code=3), 0x40 | 1, 255)))
    refused("R7", bytes((toc(31, code=3), 0xC0 | 2, 3, 1)) + b"abc")


def test_a_frame_is_never_longer_than_1275_bytes():
    assert opus.parse_packet(bytes((toc(31),)) + bytes(1275)) == [(1, 1275)]
    refused("R2", bytes((toc(31),)) + bytes(1276))
    refused("R1", b"")


def test_any_input_is_parsed_within_its_bounds_or_refused():
    noise = Noise(4)
    packet = bytes((toc(31, code=3), 0xC0 | 4, 9, 5, 252, 1, 7)) + bytes(300)
    n_parsed = 0
    for i in range(N_EXAMPLES):
        octets = noise.octets(noise.below(40)) if i % 2 else noise.mutated(packet)
        try:
            frames = opus.parse_packet(octets)
        except OpusPacketError:
            continue
        n_parsed += 1
        assert len(frames) == opus.n_frames(octets, 0, len(octets))
        assert opus.n_samples_48k(octets, 0, len(octets)) <= 5_760
        end = 1
        for start, n_bytes in frames:
            assert start >= end and 0 <= n_bytes <= opus.MAX_FRAME_BYTES
            end = start + n_bytes
        assert end <= len(octets)
    assert n_parsed > N_EXAMPLES // 5


def test_reading_allocates_nothing():
    packet = bytes((toc(31, code=3), 3)) + bytes(60)

    def step():
        opus.mode(packet[0])
        opus.bandwidth_hz(packet[0])
        opus.frame_us(packet[0])
        opus.is_stereo(packet[0])
        opus.n_samples_48k(packet, 0, 62)

    assert allocates_nothing(step)
