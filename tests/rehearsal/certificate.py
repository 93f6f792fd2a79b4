"""A self-signed certificate for every name that a rehearsal plays, valid as long as the rehearsal."""

import base64
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

VALID_FOR = timedelta(days=2)
#: A clock that is a little behind must accept it, too.
VALID_SINCE = timedelta(hours=1)


@dataclass(frozen=True)
class Certificate:
    """The files of the certificate and its key; ``spki`` is the hash by which Chromium trusts it."""

    public: Path
    key: Path
    spki: str


def certificate(directory: Path, names: Sequence[str], now: datetime) -> Certificate:
    """Creates a key, and a certificate for all these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Rehearsal")])
    # Python 3.13 checks strictly: without these extensions it does not accept it as its own issuer.
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= {"encipher_only": False, "decipher_only": False, "crl_sign": False}
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_SINCE)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([_named(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    created = Certificate(
        public=directory / "certificate.pem",
        key=directory / "certificate-key.pem",
        spki=base64.b64encode(hashlib.sha256(encoded).digest()).decode("ascii"),
    )
    directory.mkdir(parents=True, exist_ok=True)
    created.public.write_bytes(signed.public_bytes(Encoding.PEM))
    created.key.touch(mode=0o600)
    created.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return created


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
