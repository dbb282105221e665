"""TLS to the one machine whose certificate is pinned: no CA, no clock, no name has to be right."""

import asyncio
import hashlib

import tls
from micropython import const

_POLL_MS = const(5)
_X509_FATAL_ERROR = const(-0x3000)  # mbedtls/x509.h; a positive answer would be taken for a number of bytes read

_UNSEEN = const(0)
_MATCHED = const(1)
_MISMATCHED = const(2)


class ConnectRefused(Exception):
    """Connecting does not help until somebody changes a setting; the text says which. `reason` is one word."""

    reason = "REFUSED"


class PinMismatch(ConnectRefused):
    """The certificate is none of the pinned ones."""

    reason = "WRONG_PIN"


class NoCertificate(OSError):
    """The connection ended before a certificate came."""


class PinnedTls:
    """Makes TLS sockets, one at a time. What it allocates in C (24 KB a connection) lies outside MicroPython's heap."""

    def __init__(self):
        self._context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        self._context.verify_mode = tls.CERT_OPTIONAL  # the callback decides, and nothing else
        self._context.verify_callback = self._check
        self._pins = ()
        self._leaf = _UNSEEN

    async def wrap(self, raw, host, pins):
        """Return a TLS socket over a connected TCP socket once the peer has shown the pinned certificate.

        Nothing secret may be written before. The rest of the handshake, the proof that the peer holds the key, is part
        of the first write: with do_handshake_on_connect=False reads and writes carry it on, and none of them waits.
        pins: SHA-256 digests. Raises PinMismatch, NoCertificate or another OSError.
        """
        self._pins = pins
        self._leaf = _UNSEEN
        wrapped = self._context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
        early = bytearray(1)
        try:
            while self._leaf == _UNSEEN:
                if wrapped.readinto(early) is not None:
                    raise NoCertificate("the connection ended before a certificate came; is it a TLS server?")
                await asyncio.sleep_ms(_POLL_MS)
        except (OSError, ValueError) as error:  # mbedTLS says some of its errors as ValueError
            if self._leaf == _MISMATCHED:
                raise PinMismatch("%s shows another certificate than the pinned one; give the board its pin" % host)
            raise OSError(str(error))
        return wrapped

    def _check(self, certificate, depth):
        """mbedTLS asks about each certificate of the chain; depth 0 is the peer's own."""
        if depth:
            return 0
        self._leaf = _MATCHED if hashlib.sha256(certificate).digest() in self._pins else _MISMATCHED
        return 0 if self._leaf == _MATCHED else _X509_FATAL_ERROR
