"""The deployment's own signature under receipts: an Ed25519 key that is worked out, so that no database holds it."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyturn.core.note import NoteKey, signed


class Notary:
    """Signs notes (C2SP `signed-note`)."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`seed` is the private key, 32 bytes."""
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = NoteKey(name=name, public_key=self._private.public_key().public_bytes_raw())
        """What others check its notes with."""

    def sign(self, text: str) -> str:
        """The note of this text, which ends in a newline."""
        return signed(text, self.key, self._private.sign)
