"""The calls that are answered below the framework, described by hand for the OpenAPI document."""

from typing import Any, Final

from keyturn.verify.decision import CODES

_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_NAMES: Final = {
    name: {"anyOf": [{"type": "string"}, {"type": "null"}]}
    for name in ("key_id", "account_id", "owner_id", "environment", "expires_at")
}


def _refusals(**statuses: str) -> dict[str, Any]:
    return {status[1:]: {"description": said, "content": _PROBLEM} for status, said in statuses.items()}


_QUESTION: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string", "description": "The key under test; or `key_sha256`; or `signed`."},
        "key_sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "Its SHA-256, in hexadecimal."},
        "label": {"type": "string", "description": "With `key_sha256`: the label of a customer's own secret."},
        "signed": {
            "type": "object",
            "description": "A signed request (RFC 9421, Ed25519), for a key that is a public key.",
            "additionalProperties": False,
            "required": ["key_id", "base", "signature"],
            "properties": {
                "key_id": {"type": "string"},
                "base": {"type": "string", "description": "The signature base of the request as it arrived."},
                "signature": {"type": "string", "description": "In base64, with or without colons around it."},
            },
        },
        "permissions": {"type": "array", "items": {"type": "string"}, "description": "All of these are wanted."},
        "ip": {"type": "string", "description": "The client's address; a key with an allowlist needs it."},
        "context": {"type": "object", "description": "`user_agent` shows who still uses an old secret."},
    },
    "examples": [{"key": "kt_live_…", "permissions": ["orders:read"], "ip": "192.0.2.7"}],
}
_ANSWER: Final = {
    "type": "object",
    "required": ["valid", "code"],
    "properties": {
        "valid": {"type": "boolean"},
        "code": {"type": "string", "enum": list(CODES)},
        **_NAMES,
        "permissions": {"type": "array", "items": {"type": "string"}},
        "version": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "replaced_at": {"type": "string", "description": "With `replaced`."},
        "reset_id": {"type": "string", "description": "With `replaced`."},
        "retry_after": {"type": "integer", "description": "With `rate_limited`: seconds."},
        "remaining": {"type": "integer", "description": "For a key with a limit: requests that fit at once."},
    },
}
_HEADERS: Final = {
    "X-Keyturn-Credential": "The gateway's own credential, with keyturn.verify; trusted gateways need none.",
    "X-Keyturn-Permission": "What the caller's request needs.  A gateway sets it itself, over what the client sent.",
    "X-API-Key": "The key under test, where it is not in Authorization.",
}

PATHS: Final[dict[str, Any]] = {
    "/v1/feed": {
        "post": {
            "tags": ["fleet"],
            "summary": "Attach a verifier",
            "description": "A stream both ways, in lines of JSON: renewals and acknowledgements in the request's body,"
            " grants and feed entries in the answer, for as long as either side likes.  `keyturn.sdk.Verifier` speaks"
            " it.  The credential holds keyturn.attach and is the operator's own.",
            "operationId": "feed",
            "security": [{"bearer": []}],
            "parameters": [
                {
                    "name": "X-Keyturn-Instance",
                    "in": "header",
                    "schema": {"type": "string"},
                    "description": "Random and kept secret: only who shows it renews and acknowledges for an instance"
                    " that was attached with it.",
                }
            ],
            "responses": {
                "200": {
                    "description": "Attached.",
                    "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
                },
                **_refusals(
                    _401="No valid credential.",
                    _403="The credential may not attach.",
                    _405="Not that method.",
                    _503="The database is away and the credential is not in memory.",
                ),
            },
        }
    },
    "/v1/verify": {
        "post": {
            "tags": ["verify"],
            "summary": "Verify a key",
            "description": "The credential that asks holds keyturn.verify.",
            "operationId": "verify",
            "security": [{"bearer": []}],
            "parameters": [
                {
                    "name": "X-Keyturn-Applied",
                    "in": "header",
                    "schema": {"type": "string"},
                    "description": "Of a verifier that asks without a lease: how far it is, as epoch, revision, and"
                    " when that entry was written in microseconds.  Where the database has lost it, the answer is 503.",
                }
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _QUESTION}}},
            "responses": {
                "200": {"description": "Decided.", "content": {"application/json": {"schema": _ANSWER}}},
                **_refusals(
                    _400="Malformed.",
                    _401="No valid credential.",
                    _403="The credential may not verify.",
                    _405="Not that method.",
                    _413="Body over 64 KiB.",
                    _415="Not JSON.",
                    _422="A field cannot be used.",
                    _429="The credential's own limit.",
                    _503="The database is away, and the key is not in memory or the lease is over.",
                ),
            },
        }
    },
    "/v1/authz": {
        "get": {
            "tags": ["verify"],
            "summary": "Verify for a gateway",
            "description": "The key under test is in Authorization or X-API-Key.  X-Keyturn-Code tells the code."
            "  Signed requests go to `/v1/verify`.",
            "operationId": "authz",
            "parameters": [
                {"name": name, "in": "header", "required": False, "description": said, "schema": {"type": "string"}}
                for name, said in _HEADERS.items()
            ],
            "responses": {
                "200": {"description": "Accepted; X-Keyturn-Key-Id, -Account-Id and -Permissions tell whose."},
                **_refusals(
                    _400="Two keys, or a header that cannot be used.",
                    _401="The key is not accepted.",
                    _403="Address or permission.",
                    _429="The key's limit.",
                    _503="The database is away, and the key is not in memory or the lease is over.",
                ),
            },
        }
    },
}
