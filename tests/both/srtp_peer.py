"""The device's end of SRTP as a process, on either Python: `srtp_peer.py FIRMWARE_FOLDER KEY_OUT KEY_IN`, keys in hex.

A line in is `protect HEX` or `unprotect HEX`; the line out is the packet in hex, or `dropped`.
"""

import binascii
import sys

sys.path.insert(0, sys.argv[1])

from pressroom.wire.srtp import TAG_BYTES, SrtpIn, SrtpOut

srtp_out = SrtpOut(binascii.unhexlify(sys.argv[2]))
srtp_in = SrtpIn(binascii.unhexlify(sys.argv[3]))
for line in sys.stdin:
    call, digits = line.split()
    packet = bytearray(binascii.unhexlify(digits))
    if call == "protect":
        n_bytes = len(packet)
        packet.extend(bytes(TAG_BYTES))
        n_bytes = srtp_out.protect_in_place(packet, n_bytes)
    else:
        n_bytes = srtp_in.unprotect_in_place(packet, len(packet))
    sys.stdout.write((binascii.hexlify(packet[:n_bytes]).decode() if n_bytes else "dropped") + "\n")
