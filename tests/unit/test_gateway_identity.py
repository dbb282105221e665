"""The gateway's certificate, which devices pin."""

import datetime
import hashlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pressroom_host.gateway.identity import IDENTITY_FILE, IdentityUnusable, load_or_make_identity
from pressroom_host.gateway.state import StateFolder


@pytest.fixture
def folder(tmp_path):
    return StateFolder.open(tmp_path / "state")


def test_the_leaf_is_p_256_and_valid_for_twenty_years(folder):
    certificate = x509.load_pem_x509_certificate(load_or_make_identity(folder).pem.read_bytes())
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    now = datetime.datetime.now(datetime.UTC)
    assert certificate.not_valid_before_utc < now
    assert certificate.not_valid_after_utc > now + datetime.timedelta(days=20 * 365)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_pin_is_the_sha_256_of_the_certificate_in_der(folder):
    identity = load_or_make_identity(folder)
    pem = identity.pem.read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    assert identity.pin == hashlib.sha256(der).digest()


def test_the_identity_is_made_once(folder):
    assert load_or_make_identity(folder).pin == load_or_make_identity(folder).pin


def test_two_gateways_have_two_identities(folder, tmp_path):
    assert load_or_make_identity(folder).pin != load_or_make_identity(StateFolder.open(tmp_path / "other")).pin


@pytest.mark.parametrize(
    "damage", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff" * 99]
)
def test_a_damaged_file_is_one_clear_line_and_is_not_replaced(folder, damage):
    folder.write(IDENTITY_FILE, damage)
    with pytest.raises(
        IdentityUnusable, match="bring back a copy, or remove it: devices then need the new pin"
    ) as caught:
        load_or_make_identity(folder)
    assert "\n" not in str(caught.value)
    assert folder.read(IDENTITY_FILE) == damage


def test_a_certificate_without_its_key_is_refused(folder):
    pem = load_or_make_identity(folder).pem.read_bytes()
    folder.write(IDENTITY_FILE, pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    with pytest.raises(IdentityUnusable):
        load_or_make_identity(folder)


def test_old_versions_of_tls_are_refused(folder):
    assert load_or_make_identity(folder).ssl_context().minimum_version == ssl.TLSVersion.TLSv1_2
