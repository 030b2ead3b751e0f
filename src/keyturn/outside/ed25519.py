"""Checking an Ed25519 signature (RFC 8032), with a public key that `core.public_key` has found safe."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def matches(public_key: bytes, *, signature: bytes, message: bytes) -> bool:
    """Whether the signature is one of these very bytes by this key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
