"""Signed requests (RFC 9421, Ed25519) for both sides: whoever calls an API, and whoever serves it.

The caller holds a private key whose public half is a key here, and sends what `sign` answers as headers.
Whoever serves the API hands what `signed` answers to `Client.verify(signed=…)`.
No library for the signature itself is needed: the caller brings a function that signs, keyturn checks.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit

COVERED: Final = ("@method", "@authority", "@path", "@query")
"""What a signature covers unless one says otherwise; with a body, its `content-digest` as well."""
DIGEST: Final = "content-digest"
_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = r"[a-z*][a-z0-9_.*-]*"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_MEMBER: Final = re.compile(
    rf"[ \t]*({_NAME})=(\((?:{_QUOTED}[ ]?)*\)(?:;{_NAME}(?:=(?:{_QUOTED}|[^,;\s]+))?)*)[ \t]*(?:,|$)"
)
_SIGNATURE: Final = re.compile(rf"[ \t]*({_NAME})=:([A-Za-z0-9+/=]*):[ \t]*(?:,|$)")


class NotSigned(ValueError):  # noqa: N818  # says what is wrong with the request
    """The request is not signed in a way that could be checked; the text says why, and holds nothing of it."""


def sign(  # a request has that many parts
    method: str,
    url: str,
    *,
    key_id: str,
    created: int,
    nonce: str,
    signer: Callable[[bytes], bytes],
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    covered: Sequence[str] = COVERED,
) -> dict[str, str]:
    """The headers to send along.

    `created` is now, in seconds since 1970; `nonce` was never used before; `signer` signs bytes with the private key.
    """
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    made: dict[str, str] = {}
    if body:
        made["Content-Digest"] = sent[DIGEST] = content_digest(body)
        covered = [*covered, *([] if DIGEST in covered else [DIGEST])]
    names = " ".join(f'"{name}"' for name in covered)
    params = f'({names});created={created};nonce="{nonce}";keyid="{key_id}";alg="ed25519"'
    base = _base(covered, params, method, url, sent)
    signature = b64encode(signer(base.encode("ascii"))).decode("ascii")
    return made | {"Signature-Input": f"sig={params}", "Signature": f"sig=:{signature}:"}


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    body: bytes = b"",
    must_cover: Sequence[str] = COVERED,
    label: str = "",
) -> dict[str, str]:
    """What `Client.verify(signed=…)` takes, from a request as it arrived.

    `url` is the address that the caller meant, scheme and host included; behind a proxy, not the one inside.
    Where a request has several signatures, `label` names the caller's.  Raises NotSigned.
    """
    got = {name.lower(): value.strip() for name, value in headers.items()}
    inputs = dict(_members(_MEMBER, got.get("signature-input", "")))
    signatures = dict(_members(_SIGNATURE, got.get("signature", "")))
    if not label and len(inputs) == 1:
        label = next(iter(inputs))
    if label not in inputs or label not in signatures:
        raise NotSigned("there is no such signature, or more than one")
    params = inputs[label]
    covered = re.findall(_QUOTED, params[: params.index(")")])
    names = [one[1:-1] for one in covered]
    wanted = {*must_cover, *([DIGEST] if body else [])}
    if missing := sorted(wanted - set(names)):
        raise NotSigned(f"the signature does not cover {', '.join(missing)}")
    if body and not digest_matches(got.get(DIGEST, ""), body):
        raise NotSigned("the body is not the one that was signed")
    key_id = re.search(rf";keyid=({_QUOTED})", params[params.index(")") :])
    if key_id is None:
        raise NotSigned("the signature names no key")
    base = _base(names, params, method, url, got)
    return {"key_id": key_id[1][1:-1], "base": base, "signature": signatures[label]}


def content_digest(body: bytes) -> str:
    """The header `Content-Digest` (RFC 9530)."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode('ascii')}:"


def digest_matches(header: str, body: bytes) -> bool:
    """Whether the header is about this very body.  Only SHA-256 is read."""
    said = dict(_members(_SIGNATURE, header))
    try:
        return compare_digest(b64decode(said.get("sha-256", ""), validate=True), sha256(body).digest())
    except (Error, ValueError):
        return False


def _members(pattern: re.Pattern[str], header: str) -> list[tuple[str, str]]:
    """The members of a dictionary header; nothing where any part of it cannot be read, or stands twice."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(header):
        member = pattern.match(header, at)
        if member is None or member[1] in dict(found):
            return []
        found.append((member[1], member[2]))
        at = member.end()
    return found


def _base(covered: Sequence[str], params: str, method: str, url: str, headers: Mapping[str, str]) -> str:
    lines = [f'"{name}": {_value(name, method, url, headers)}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {params}'])
    if not base.isascii():
        raise NotSigned("a part that is signed is not ASCII")
    return base


def _value(name: str, method: str, url: str, headers: Mapping[str, str]) -> str:
    if not name.startswith("@"):
        if name not in headers:
            raise NotSigned("a header that is signed is not there")
        return headers[name]
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    plain_port = parts.port is None or parts.port == _PORTS.get(parts.scheme)
    query = url.partition("#")[0].partition("?")
    values = {
        "@method": method,
        "@scheme": parts.scheme,
        "@authority": host if plain_port else f"{host}:{parts.port}",
        "@path": parts.path or "/",
        "@query": f"?{query[2]}",
        "@request-target": (parts.path or "/") + query[1] + query[2],
        "@target-uri": url,
    }
    if name not in values:
        raise NotSigned("the signature covers a part that this reader does not know")
    return values[name]
