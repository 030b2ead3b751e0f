"""Providers that people sign in with."""

from typing import Protocol

from keyturn.core.instant import Instant
from keyturn.core.oidc import Identity, OidcProvider


class ProviderUnavailable(Exception):  # noqa: N818  # the world broke; not an error of ours
    """A provider cannot be reached, or answers nothing that can be used.  Closed: nobody signs in with it."""


class Oidc(Protocol):
    """One OpenID Connect provider.  Its outage: closed, people sign in another way."""

    @property
    def provider(self) -> OidcProvider: ...
    def address(self, *, state: str, nonce: str, challenge: str, redirect_uri: str) -> str: ...
    def redeem(self, code: str, *, verifier: str, nonce: str, redirect_uri: str, now: Instant) -> Identity | None: ...
