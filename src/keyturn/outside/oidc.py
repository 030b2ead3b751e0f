"""Talking to OpenID Connect providers: where they are, what they sign with, and redeeming codes.

What they publish is fetched from the issuer that the settings name, over https, kept for an hour, and fetched anew at
most once a minute where a key is not known (pitfall 22).  Redirects are not followed, answers are bounded.
"""

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from keyturn.core.instant import Instant
from keyturn.core.oidc import ALGORITHMS, Identity, OidcProvider, is_safe_url, read_identity
from keyturn.outside import clock
from keyturn.outside.clock import Tick
from keyturn.ports.oidc import ProviderUnavailable

if TYPE_CHECKING:
    import httpx2

_TIMEOUT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 262_144
_KEPT_SECONDS: Final = 3600
_REFETCH_SECONDS: Final = 60
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_SCOPES: Final = "openid email profile"


def load(providers: Sequence[OidcProvider]) -> Mapping[str, "OidcClient"]:
    """A client for each, by name.  Raises OSError or ValueError where a secret or a library is missing."""
    if providers:
        try:
            import joserfc  # noqa: F401  # whether it is there
        except ImportError:
            raise ValueError("signing in with OpenID Connect needs an extra: pip install 'keyturn[oidc]'") from None
    return {one.name: OidcClient(one, _secret_of(one)) for one in providers}


def _secret_of(provider: OidcProvider) -> str:
    secret = Path(provider.client_secret_file).expanduser().read_text("utf-8").strip()
    if not secret:
        raise ValueError(f"{provider.client_secret_file} is empty")
    return secret


class OidcClient:
    """`ports.oidc.Oidc`: one provider."""

    def __init__(self, provider: OidcProvider, secret: str) -> None:
        self.provider = provider
        self._secret = secret
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._metadata: tuple[Mapping[str, Any], Tick] | None = None
        self._keys: tuple[Sequence[Mapping[str, Any]], Tick] | None = None

    def address(self, *, state: str, nonce: str, challenge: str, redirect_uri: str) -> str:
        """Where the browser goes.  Raises ProviderUnavailable."""
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": _SCOPES,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(self._published()["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def redeem(self, code: str, *, verifier: str, nonce: str, redirect_uri: str, now: Instant) -> Identity | None:
        """Whom the code stands for; None for a wrong code or a word that is not to be believed.

        Raises ProviderUnavailable where the provider does not say.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        token = self._token(form)
        claims = self._claims(token) if token else None
        if claims is None:
            return None
        provider = self.provider
        return read_identity(claims, issuer=provider.issuer, client_id=provider.client_id, nonce=nonce, now=now)

    def _token(self, form: Mapping[str, str]) -> str | None:
        methods = self._published().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        by_basic = not isinstance(methods, list) or "client_secret_basic" in methods
        mine = {"client_id": self.provider.client_id, "client_secret": self._secret}
        # RFC 6749, 2.3.1: both are form-encoded before they become user and password.
        user = (quote(mine["client_id"], safe=""), quote(self._secret, safe=""))
        endpoint = str(self._published()["token_endpoint"])
        shown = form if by_basic else {**form, **mine}
        status, body = self._ask("POST", endpoint, data=shown, auth=user if by_basic else None)
        if 400 <= status < 500:
            return None  # the code, or we ourselves, were refused
        token = body.get("id_token") if status == 200 else None
        if not isinstance(token, str):
            raise ProviderUnavailable(f"token endpoint: {status}")
        return token

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        """What the token says, if one of the provider's published keys signed it."""
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key

        header = _header_of(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            return None
        for key in self._keys_for(kid):
            try:
                claims: Mapping[str, Any] = jwt.decode(token, import_key(dict(key)), algorithms=[algorithm]).claims
            except (JoseError, ValueError, TypeError):
                continue
            return claims
        return None

    def _keys_for(self, kid: object) -> Sequence[Mapping[str, Any]]:
        """The published keys of that name, or all where the token names none."""
        for refetch in (False, True):
            found = [one for one in self._published_keys(refetch=refetch) if kid in (None, one.get("kid"))]
            if found:
                return found
        return ()

    def _published(self) -> Mapping[str, Any]:
        with self._lock:
            if self._metadata is not None and clock.tick() - self._metadata[1] < _KEPT_SECONDS:
                return self._metadata[0]
            status, body = self._ask("GET", f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
            right = status == 200 and body.get("issuer") == self.provider.issuer
            if not right or not all(is_safe_url(body.get(name)) for name in _ENDPOINTS):
                raise ProviderUnavailable(f"configuration: {status}")
            self._metadata = (body, clock.tick())
            return body

    def _published_keys(self, *, refetch: bool) -> Sequence[Mapping[str, Any]]:
        address = str(self._published()["jwks_uri"])
        with self._lock:
            if self._keys is not None:
                age = clock.tick() - self._keys[1]
                if age < (_REFETCH_SECONDS if refetch else _KEPT_SECONDS):
                    return self._keys[0]
            status, body = self._ask("GET", address)
            keys = body.get("keys") if status == 200 else None
            if not isinstance(keys, list):
                raise ProviderUnavailable(f"keys: {status}")
            kept = [one for one in keys if isinstance(one, dict) and one.get("kty") in _KEY_TYPES]
            kept = [one for one in kept if one.get("use", "sig") == "sig"]
            self._keys = (kept, clock.tick())
            return kept

    def _ask(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> tuple[int, Mapping[str, Any]]:
        """A bounded answer as a JSON object, empty for what is none."""
        import httpx2

        if self._client is None:
            self._client = httpx2.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)
        try:
            with self._client.stream(
                method, url, data=dict(data) if data else None, auth=auth, headers={"Accept": "application/json"}
            ) as answer:
                body = b""
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise ProviderUnavailable("an answer without end")
                status = answer.status_code
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from error
        try:
            plain = json.loads(body)
        except (ValueError, RecursionError):
            plain = None
        return status, plain if isinstance(plain, dict) else {}


def _header_of(token: str) -> Mapping[str, Any]:
    """What the token says of its signature; it is believed only as far as a published key bears it out."""
    try:
        plain = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (ValueError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}
