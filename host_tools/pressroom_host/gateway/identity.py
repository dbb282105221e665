"""Who the gateway is to its devices: a P-256 key and a certificate that they know by its SHA-256, the pin.

No CA signs it and no clock has to be right, so the leaf is made once and lives 20 years. Devices that pin it depend on
this file: lose it, and each needs the new pin.
Source: RFC 5280; design, "Signalling".
"""

import datetime
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from .state import StateFolder, StateUnusable

IDENTITY_FILE = "identity.pem"

_YEARS = 20
_DAYS_A_YEAR = 365.25
_NAME = "pressroom gateway"


class IdentityUnusable(StateUnusable):
    """The file with key and certificate is damaged."""


@dataclass(frozen=True, slots=True)
class Identity:
    """pem: the file with key and certificate. pin: 32 bytes, the SHA-256 of the certificate in DER."""

    pem: Path
    pin: bytes

    def ssl_context(self) -> ssl.SSLContext:
        """Return a context for the server: TLS 1.2 and later."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.pem)
        return context


def load_or_make_identity(folder: StateFolder) -> Identity:
    """Return the gateway's identity, made on first start. Raises IdentityUnusable or StateUnusable."""
    with folder.changing():
        pem = folder.read(IDENTITY_FILE)
        if pem is None:
            pem = _new_identity(datetime.datetime.now(datetime.UTC))
            folder.write(IDENTITY_FILE, pem)
    path = folder.file(IDENTITY_FILE)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        identity = Identity(path, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())
        identity.ssl_context()
    except (ValueError, ssl.SSLError, OSError) as error:
        raise IdentityUnusable(
            f"{path} does not hold the gateway's key and certificate ({error}); "
            "bring back a copy, or remove it: devices then need the new pin"
        ) from None
    return identity


def _new_identity(now: datetime.datetime) -> bytes:
    """Key and certificate in one file: no crash can leave one without the other."""
    key = ec.generate_private_key(ec.SECP256R1())  # MicroPython on ESP32 has no Curve25519
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_YEARS * _DAYS_A_YEAR))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pressroom-gateway.local")]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
