"""A customer's side of signed requests (R42), as any program would do it: RFC 9421 with Ed25519."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyturn.core.public_key import PublicKey


@dataclass
class Pair:
    """A key pair of a customer's own."""

    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public_key(self) -> PublicKey:
        """Its public half, as the flows take it."""
        return PublicKey(self.private.public_key().public_bytes_raw())

    @property
    def base64(self) -> str:
        """The same as text."""
        return b64encode(self.public_key.raw).decode()

    @property
    def pem(self) -> str:
        """And in PEM."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, key_id: str, *, created: int, nonce: str = "", path: str = "/orders") -> dict[str, Any]:
        """A request signed, in the words of `/v1/verify`."""
        lines = ['"@method": POST', '"@authority": api.example.com', f'"@path": {path}']
        params = f'("@method" "@authority" "@path");created={created};keyid="{key_id}";alg="ed25519"'
        if nonce:
            params += f';nonce="{nonce}"'
        base = "\n".join([*lines, f'"@signature-params": {params}'])
        return {"key_id": key_id, "base": base, "signature": b64encode(self.private.sign(base.encode())).decode()}
