"""A self-signed certificate for web.whatsapp.com and the hash by which Chromium may trust it."""

from __future__ import annotations

import base64
import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "web.whatsapp.com"
VALID_FOR = timedelta(days=3650)


@dataclass(frozen=True)
class Certificate:
    """A private key and its certificate, both PEM."""

    private_key: str
    certificate: str

    @classmethod
    def generate(cls, now: datetime | None = None) -> Certificate:
        """Make a new elliptic-curve key and sign its certificate with itself."""
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + VALID_FOR)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        private_key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return cls(
            private_key=private_key.decode(),
            certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        )

    @property
    def spki_hash(self) -> str:
        """SHA-256 of the public key, base64: what Chromium's ignore list wants."""
        public_key = x509.load_pem_x509_certificate(self.certificate.encode()).public_key()
        encoded = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(encoded).digest()).decode()

    def server_context(self) -> ssl.SSLContext:
        """Return a TLS context; the ssl module reads keys only from files."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "certificate.pem"
            path.write_text(self.private_key + self.certificate)
            context.load_cert_chain(path)
        return context
