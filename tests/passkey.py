"""A passkey in software: what a browser and an authenticator make of a challenge, right or wrong in any part."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from struct import pack
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, encode_cbor

PRESENT: Final = 0x01
VERIFIED: Final = 0x04
_WITH_KEY: Final = 0x40


@dataclass
class Passkey:
    """One key pair on one device."""

    origin: str
    rp_id: str
    counting: bool = True
    flags: int = PRESENT | VERIFIED
    cross_origin: bool | None = False
    count: int = 0
    credential_id: bytes = field(default_factory=lambda: token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create()` answers."""
        head = bytes(16) + pack(">H", len(self.credential_id)) + self.credential_id + self._public()
        data = self._data(self.flags | _WITH_KEY) + head
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": text(self._client_data("webauthn.create", options)),
                "attestationObject": text(attestation),
            }
        )

    def get(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get()` answers."""
        self.count += self.counting
        data = self._data(self.flags)
        client = self._client_data("webauthn.get", options)
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            {"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature)}
        )

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        named = text(self.credential_id)
        return {
            "id": named,
            "rawId": named,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }

    def _client_data(self, kind: str, options: Mapping[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        if self.cross_origin is not None:
            said["crossOrigin"] = self.cross_origin
        return json.dumps(said).encode()

    def _data(self, flags: int) -> bytes:
        return sha256(self.rp_id.encode()).digest() + bytes([flags]) + pack(">I", self.count)

    def _public(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})


def text(value: bytes) -> str:
    """As WebAuthn writes bytes."""
    return urlsafe_b64encode(value).decode().rstrip("=")


def challenge_of(options: Mapping[str, Any]) -> bytes:
    """The challenge in what a server asked."""
    return base64url_to_bytes(options["challenge"])
