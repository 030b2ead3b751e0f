"""What a call is after, by its route and by what its body names (K8, R22)."""

from collections.abc import Mapping
from typing import Any, Final

from keyturn.api.body import PARSED
from keyturn.core.reset import Reason
from keyturn.edge.places import Aim, aim_of_reset

STOPS: Final = frozenset(
    {
        ("POST", "/v1/keys/{key_id}/suspend"),
        ("POST", "/v1/keys/{key_id}/revoke"),
        ("POST", "/v1/self/revoke"),
        ("POST", "/v1/accounts/{account_id}/suspend"),
        ("POST", "/v1/resets/{reset_id}/finish"),
        ("DELETE", "/v1/accounts/{account_id}/members/{user_id}"),
    }
)
RESETS: Final = frozenset({("POST", "/v1/keys/{key_id}/resets"), ("POST", "/v1/self/reset")})
"""They stop what was leaked."""
NEVER_LIMITED: Final = frozenset(
    {
        ("POST", "/v1/keys/{key_id}/suspend"),
        ("POST", "/v1/keys/{key_id}/revoke"),
        ("POST", "/v1/self/revoke"),
        ("POST", "/v1/accounts/{account_id}/suspend"),
    }
)
"""They stop, and nothing more where they are repeated.  A reset makes a secret, mails and records each time: whoever is
limited suspends the key first (pitfall 24)."""
EDITS: Final = frozenset({("PATCH", "/v1/keys/{key_id}")})
_WHAT_IT_MAY: Final = frozenset({"permissions", "allowlist", "expires_at", "limit"})
"""What an edit gives anew that may narrow the key."""


def aim_of(scope: Mapping[str, Any]) -> Aim:
    """Of a request whose route is found and whose body is read, if not yet judged."""
    call = scope["method"], scope["route"].path
    body = scope.get(PARSED)
    given: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if call in STOPS:
        return Aim.STOP
    if call in RESETS:
        reason = given.get("reason", Reason.ROUTINE.value)
        return aim_of_reset(reason) if isinstance(reason, str) else Aim.OTHER
    return Aim.NARROW if call in EDITS and not _WHAT_IT_MAY.isdisjoint(given) else Aim.OTHER


def is_limited(scope: Mapping[str, Any]) -> bool:
    """Whether the rate limit of the key that asks holds: a stop is never limited away (K8)."""
    return (scope["method"], scope["route"].path) not in NEVER_LIMITED
