"""The signature base of a signed request (RFC 9421, R42b): read strictly, line by line.

Whoever serves the API rebuilds the base from the request it got and hands it on; the signature is checked over its
exact bytes (pitfall 23).  Read here is only what the last line says: when, by which key, by which algorithm; and that
it names the very components, in the very order, that stand above it.
"""

import re
from dataclasses import dataclass
from typing import Final

LONGEST_BASE: Final = 16_384
_PARAMS: Final = '"@signature-params": '
_NAME: Final = r"[a-z*][a-z0-9_.*-]*"
_STRING: Final = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_COMPONENT: Final = rf"\"@?[a-z0-9!#$%&'*+.^_`|~-]+\"(?:;{_NAME}(?:={_STRING})?)*"
_LINE: Final = re.compile(rf"({_COMPONENT}): [ -~\t]*", re.ASCII)
_PARAM: Final = re.compile(rf";({_NAME})=(?:(-?[0-9]{{1,15}})|({_STRING}))", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureParams:
    """What a signature says of itself."""

    key_id: str
    algorithm: str
    created: int
    """Seconds since 1970."""
    expires: int | None


def read_base(base: str) -> SignatureParams | None:
    """What the base says of its signature, or None for what is no signature base."""
    if len(base) > LONGEST_BASE:
        return None
    *lines, last = base.split("\n")
    components = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        components.append(found[1])
    # A base that covers nothing would fit every request.
    if not components or len(set(components)) != len(components):
        return None
    head = f"{_PARAMS}({' '.join(components)})"
    return _read_params(last, len(head)) if last.startswith(head) else None


def _read_params(line: str, at: int) -> SignatureParams | None:
    said: dict[str, int | str] = {}
    while at < len(line):
        found = _PARAM.match(line, at)
        if found is None or found[1] in said:
            return None
        name, number, text = found.groups()
        said[name] = re.sub(r"\\(.)", r"\1", text[1:-1]) if number is None else int(number)
        at = found.end()
    key_id, algorithm, created, expires = (said.get(name) for name in ("keyid", "alg", "created", "expires"))
    if not isinstance(key_id, str) or not isinstance(algorithm, str) or not isinstance(created, int):
        return None
    if isinstance(expires, str):
        return None
    return SignatureParams(key_id=key_id, algorithm=algorithm, created=created, expires=expires)
