"""WebRTC's wire as a server needs it: one UDP port, ICE-lite, DTLS-SRTP, SCTP, SDP. Knows nothing of rooms."""
