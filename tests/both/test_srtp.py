"""wire.srtp: protect, check, and the list of what has come (RFC 3711 section 3.3)."""

from portable import N_EXAMPLES, Noise, allocates_nothing, raised, unhex, vectors

from pressroom.wire import keys, rtp, srtp
from pressroom.wire.crypto import AesCounter, HmacSha1

VECTOR = vectors("srtp")["packet"]
KEY = unhex(VECTOR["master_key"])
PAYLOAD = b"twenty ms of somebody's voice"


def rtp_packet(seq, payload=PAYLOAD):
    packet = bytearray(12)
    rtp.RtpOut(b"\xca\xfe\xba\xbe", rtp.PT_OPUS, seq, b"\xff\xff\xff\x00", 960).write_header_into(packet, False)
    return bytes(packet) + payload


def protected(srtp_out, packet):
    buf = bytearray(packet) + bytes(srtp.TAG_BYTES)
    n_bytes = srtp_out.protect_in_place(buf, len(packet))
    assert n_bytes == len(buf)
    return bytes(buf)


def opened(srtp_in, packet):
    """The RTP packet, or None if it was dropped."""
    buf = bytearray(packet)
    n_bytes = srtp_in.unprotect_in_place(buf, len(buf))
    return bytes(buf[:n_bytes]) if n_bytes else None


def stream(first_seq, n_packets):
    """n_packets in a row as (RTP, SRTP)."""
    srtp_out = srtp.SrtpOut(KEY)
    pairs = []
    for i in range(n_packets):
        packet = rtp_packet((first_seq + i) & 0xFFFF)
        pairs.append((packet, protected(srtp_out, packet)))
    return pairs


def counts(srtp_in):
    return srtp_in.n_tag_failures, srtp_in.n_replayed, srtp_in.n_malformed


def test_a_packet_is_protected_as_libsrtp_does():
    assert protected(srtp.SrtpOut(KEY), unhex(VECTOR["rtp"])) == unhex(VECTOR["srtp"])
    assert opened(srtp.SrtpIn(KEY), unhex(VECTOR["srtp"])) == unhex(VECTOR["rtp"])


def test_the_header_stays_readable_with_its_sources_and_extension():
    header = b"\x91\x6f\x00\x07" + bytes(4) + b"\xca\xfe\xba\xbe" + b"CSRC" + b"\xbe\xde\x00\x01" + b"ext."
    packet = protected(srtp.SrtpOut(KEY), header + PAYLOAD)
    assert packet[: len(header)] == header
    assert packet[len(header) : -srtp.TAG_BYTES] != PAYLOAD
    assert opened(srtp.SrtpIn(KEY), packet) == header + PAYLOAD


def test_the_rollover_counter_follows_the_wrap():
    srtp_in = srtp.SrtpIn(KEY)
    for packet, secret in stream(65_530, 12):
        assert opened(srtp_in, secret) == packet
    assert counts(srtp_in) == (0, 0, 0)


def test_each_round_of_sequence_numbers_has_its_own_keystream():
    srtp_out = srtp.SrtpOut(KEY)
    first = protected(srtp_out, rtp_packet(7))
    for seq in (20_000, 40_000, 60_000):
        protected(srtp_out, rtp_packet(seq))
    assert protected(srtp_out, rtp_packet(7)) != first


def test_the_counter_is_made_of_salt_ssrc_and_index():
    """RFC 3711 section 4.1.1, by the big numbers it is written in; each byte of the index is another one."""
    roc = 0x01020304
    srtp_out = srtp.SrtpOut(KEY)
    srtp_out._roc = roc
    secret = protected(srtp_out, rtp_packet(0x0506))
    index = roc << 16 | 0x0506
    salt = int.from_bytes(keys.salt(KEY), "big")
    counter = salt << 16 ^ 0xCAFEBABE << 64 ^ index << 16
    payload = bytearray(PAYLOAD)
    AesCounter(keys.cipher_key(KEY)).xor_keystream_in_place(payload, 0, len(payload), counter.to_bytes(16, "big"))
    assert secret[12 : -srtp.TAG_BYTES] == payload
    tag = bytearray(20)
    HmacSha1(keys.authentication_key(KEY)).tag_into(tag, secret, len(secret) - srtp.TAG_BYTES, roc)
    assert secret[-srtp.TAG_BYTES :] == tag[: srtp.TAG_BYTES]


def test_reordered_packets_are_taken_on_both_sides_of_the_wrap():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(65_525, 22)
    for i in range(0, 22, 2):
        assert opened(srtp_in, pairs[i + 1][1]) == pairs[i + 1][0]
        assert opened(srtp_in, pairs[i][1]) == pairs[i][0]
    assert counts(srtp_in) == (0, 0, 0)


def test_a_wrap_that_was_lost_is_noticed():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(65_500, 200)
    assert opened(srtp_in, pairs[0][1]) == pairs[0][0]
    assert opened(srtp_in, pairs[150][1]) == pairs[150][0]


def test_a_replayed_packet_is_dropped_and_counted():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(65_530, 12)
    for _, secret in pairs:
        opened(srtp_in, secret)
    for _, secret in pairs:
        assert opened(srtp_in, secret) is None
    assert counts(srtp_in) == (0, 12, 0)


def test_a_packet_older_than_the_window_is_dropped():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(100, srtp.WINDOW_PACKETS + 1)
    assert opened(srtp_in, pairs[-1][1]) == pairs[-1][0]
    assert opened(srtp_in, pairs[0][1]) is None
    assert opened(srtp_in, pairs[1][1]) == pairs[1][0]
    assert counts(srtp_in) == (0, 1, 0)


def test_a_jump_forgets_no_replay():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(100, 61)
    for i in (0, 10, 38, 60):
        assert opened(srtp_in, pairs[i][1]) == pairs[i][0]
    for i in (0, 10, 38, 60):
        assert opened(srtp_in, pairs[i][1]) is None
    assert opened(srtp_in, pairs[37][1]) == pairs[37][0]
    assert opened(srtp_in, pairs[37][1]) is None


def test_a_jump_past_the_window_forgets_only_what_is_older():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(100, 200)
    for i in (0, 100, 129, 170):
        assert opened(srtp_in, pairs[i][1]) == pairs[i][0]
        assert opened(srtp_in, pairs[i][1]) is None
        for older in (1, srtp.WINDOW_PACKETS - 1):
            if i and i != 129:
                assert opened(srtp_in, pairs[i - older][1]) == pairs[i - older][0]
                assert opened(srtp_in, pairs[i - older][1]) is None


def test_a_packet_before_the_first_round_is_dropped():
    srtp_in = srtp.SrtpIn(KEY)
    opened(srtp_in, stream(3, 1)[0][1])
    assert opened(srtp_in, stream(65_530, 1)[0][1]) is None
    assert counts(srtp_in) == (0, 1, 0)


def test_a_changed_bit_anywhere_is_noticed():
    packet, secret = stream(1, 1)[0]
    srtp_in = srtp.SrtpIn(KEY)
    for i in range(len(secret)):
        for bit in (0x01, 0x80):
            forged = bytearray(secret)
            forged[i] ^= bit
            assert opened(srtp_in, forged) is None
    assert opened(srtp_in, secret) == packet
    assert sum(counts(srtp_in)) == 2 * len(secret)


def test_a_forged_packet_does_not_move_the_window():
    srtp_in = srtp.SrtpIn(KEY)
    pairs = stream(1, 3)
    opened(srtp_in, pairs[0][1])
    forged = bytearray(pairs[1][1])
    forged[2] = 0x7F  # 32,000 packets ahead
    assert opened(srtp_in, forged) is None
    assert srtp_in.n_tag_failures == 1
    assert opened(srtp_in, pairs[1][1]) == pairs[1][0]
    assert opened(srtp_in, pairs[2][1]) == pairs[2][0]


def test_a_forged_first_packet_does_not_choose_where_the_stream_begins():
    srtp_in = srtp.SrtpIn(KEY)
    packet, secret = stream(100, 1)[0]
    forged = bytearray(secret)
    forged[2] = 0xF0
    assert opened(srtp_in, forged) is None
    assert opened(srtp_in, secret) == packet


def test_another_key_opens_nothing():
    assert opened(srtp.SrtpIn(bytes(30)), stream(1, 1)[0][1]) is None


def test_a_dropped_packet_is_left_as_it_came():
    _, secret = stream(1, 1)[0]
    buf = bytearray(secret)
    buf[-1] ^= 1
    before = bytes(buf)
    assert srtp.SrtpIn(KEY).unprotect_in_place(buf, len(buf)) == 0
    assert buf == before


def test_no_keystream_is_used_twice():
    srtp_out = srtp.SrtpOut(KEY)
    protected(srtp_out, rtp_packet(10))
    before = bytearray(rtp_packet(10)) + bytes(10)
    packet = bytearray(before)
    raised(srtp.IndexReusedError, srtp_out.protect_in_place, packet, len(packet) - 10)
    assert packet == before
    raised(srtp.IndexReusedError, srtp_out.protect_in_place, bytearray(rtp_packet(9)) + bytes(10), 41)


def test_a_key_that_is_worn_out_protects_no_more():
    srtp_out = srtp.SrtpOut(KEY)
    protected(srtp_out, rtp_packet(65_535))
    srtp_out._roc = (1 << 30) - 1  # nobody waits 44,000 years
    raised(srtp.KeyExhaustedError, srtp_out.protect_in_place, bytearray(rtp_packet(0)) + bytes(10), 41)


def test_what_cannot_be_protected_is_refused():
    srtp_out = srtp.SrtpOut(KEY)
    assert "no room" in str(raised(srtp.PacketError, srtp_out.protect_in_place, bytearray(50), 41))
    assert "no RTP packet" in str(raised(srtp.PacketError, srtp_out.protect_in_place, bytearray(50), 40))


def test_what_is_too_short_is_counted():
    srtp_in = srtp.SrtpIn(KEY)
    _, secret = stream(1, 1)[0]
    for n_bytes in range(22):
        assert srtp_in.unprotect_in_place(bytearray(secret[:n_bytes]), n_bytes) == 0
    assert srtp_in.unprotect_in_place(bytearray(secret), len(secret) + 1) == 0
    assert counts(srtp_in) == (0, 0, 23)


def test_any_input_is_dropped_and_counted():
    noise = Noise(3)
    srtp_in = srtp.SrtpIn(KEY)
    packet, secret = stream(1, 1)[0]
    for i in range(N_EXAMPLES):
        octets = noise.octets(noise.below(80)) if i % 3 == 0 else noise.mutated(secret)
        if octets != secret:
            assert opened(srtp_in, octets) is None
    assert opened(srtp_in, secret) == packet
    assert sum(counts(srtp_in)) >= N_EXAMPLES - N_EXAMPLES // 10


def test_protecting_and_checking_allocate_nothing():
    try:
        import cryptolib  # noqa: F401
    except ImportError:
        return  # the host's libraries may allocate as they like
    rtp_out = rtp.RtpOut(b"\xca\xfe\xba\xbe", rtp.PT_L16, 65_300, b"\xff\xff\xff\x00", 320)
    srtp_out = srtp.SrtpOut(KEY)
    srtp_in = srtp.SrtpIn(KEY)
    packet = bytearray(662)

    def step():
        rtp_out.write_header_into(packet, False)
        n_bytes = srtp_in.unprotect_in_place(packet, srtp_out.protect_in_place(packet, 652))
        assert n_bytes == 652
        assert srtp_in.unprotect_in_place(packet, 662) == 0  # a replay
        packet[2] ^= 0x10
        assert srtp_in.unprotect_in_place(packet, 662) == 0  # a forgery

    assert allocates_nothing(step)
