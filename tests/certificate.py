"""A self-signed certificate for this machine, good for a day."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Where it is, with its private key."""

    certificate: Path
    key: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes `keyturn serve` speak HTTPS with it."""
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    @property
    def der(self) -> bytes:
        """What a peer shows of it."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts it, and it alone."""
        return ssl.create_default_context(cafile=str(self.certificate))


def self_signed(folder: Path, name: str = "localhost") -> Certificate:
    """A new one as `tls.crt` and `tls.key` in the folder, for `localhost` and 127.0.0.1; `name` is who it is for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(certificate=folder / "tls.crt", key=folder / "tls.key")
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return made
