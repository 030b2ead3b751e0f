"""The HTTP API as methods: each says what to send, and leaves the sending to `Client` or `AsyncClient`.

An answer is the JSON object the server sent, unchanged: its names are those of the API.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from keyturn.sdk.call import (
    UNCHANGED,
    A,
    BadArgument,
    Call,
    Permissions,
    Unchanged,
    changed,
    get,
    given,
    instant,
    once,
    part,
    post,
    span,
    texts,
)
from keyturn.sdk.fleet import FleetCalls
from keyturn.sdk.people import PeopleCalls
from keyturn.sdk.proving import ProvingCalls
from keyturn.sdk.telling import TellingCalls

__all__ = ["UNCHANGED", "A", "BadArgument", "Call", "Calls", "Unchanged"]


class Calls(FleetCalls[A], PeopleCalls[A], ProvingCalls[A], TellingCalls[A]):
    """Every call of the API.

    Calls that make a key or a secret carry an Idempotency-Key, a fresh one unless you give yours.  Where an earlier
    attempt had already been answered, the answer says `secret_shown: true` and its `secret` is None: nobody is shown a
    secret twice.  Reset the key again to get one.
    """

    # The server

    def ready(self) -> A:
        """Whether it can answer: `status`."""
        return self.send(get("/readyz"))

    # Keys

    def create_key(
        self,
        name: str,
        *,
        environment: str | None = None,
        permissions: Permissions | None = None,
        allowlist: Iterable[str] | None = None,
        expires_at: datetime | str | None = None,
        policy: str | None = None,
        limit: str | None = None,
        account_id: str | None = None,
        owner_id: str | None = None,
        label: str | None = None,
        public_key: str | None = None,
        own_secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> A:
        """Issue a key; the answer has its `secret`, once, unless a public key or an own secret is brought."""
        body = given(
            name=name,
            environment=environment,
            permissions=texts(permissions),
            allowlist=texts(allowlist),
            expires_at=instant(expires_at),
            policy=policy,
            limit=limit,
            account_id=account_id,
            owner_id=owner_id,
            label=label,
            public_key=public_key,
            own_secret=own_secret,
        )
        return self.send(once("/v1/keys", body, idempotency_key))

    def list_keys(
        self,
        *,
        account_id: str | None = None,
        owner_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> A:
        """A page of keys, newest first: `items` and `next_cursor`."""
        return self.send(get("/v1/keys", account_id=account_id, owner_id=owner_id, limit=limit, cursor=cursor))

    def get_key(self, key_id: str) -> A:
        return self.send(get(f"/v1/keys/{part(key_id)}"))

    def edit_key(
        self,
        key_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        permissions: Permissions | Unchanged = UNCHANGED,
        allowlist: Iterable[str] | Unchanged = UNCHANGED,
        limit: str | Unchanged | None = UNCHANGED,
        expires_at: datetime | str | Unchanged | None = UNCHANGED,
        policy: str | Unchanged | None = UNCHANGED,
    ) -> A:
        """Change what is named.  None drops a limit, makes a key live for ever, leaves the policy to the account."""
        body = changed(
            name=name,
            permissions=permissions if permissions is UNCHANGED else texts(permissions),
            allowlist=allowlist if allowlist is UNCHANGED else texts(allowlist),
            limit=limit,
            expires_at=expires_at if expires_at is UNCHANGED else instant(expires_at),
            policy=policy,
        )
        return self.send(Call(method="PATCH", path=f"/v1/keys/{part(key_id)}", body=body))

    def suspend_key(self, key_id: str, *, reason: str | None = None) -> A:
        """Stop a key for now; the safe direction."""
        return self.send(post(f"/v1/keys/{part(key_id)}/suspend", given(reason=reason)))

    def resume_key(self, key_id: str) -> A:
        return self.send(post(f"/v1/keys/{part(key_id)}/resume"))

    def revoke_key(self, key_id: str) -> A:
        """Stop a key for good."""
        return self.send(post(f"/v1/keys/{part(key_id)}/revoke"))

    # Resets

    def reset_key(
        self,
        key_id: str,
        *,
        reason: str,
        grace: timedelta | str | None = None,
        expected_version: int | None = None,
        narrow: Mapping[str, Any] | None = None,
        waive_cool_down: bool | None = None,
        suspend_created_since: datetime | str | None = None,
        claim: bool | None = None,
        public_key: str | None = None,
        own_secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> A:
        """Ask for a reset.  Where this credential proves enough, the answer has `secret` and `receipt` at once.

        With `claim` it is ordered for the key's owner, who claims, proves and receives; by the end of a named grace,
        counted from now, the old secret stops, claimed or not.

        A key whose secrets are brought takes the next one here, or later in `mint_reset`.
        """
        body = given(
            reason=reason,
            grace=span(grace),
            expected_version=expected_version,
            narrow=narrow,
            waive_cool_down=waive_cool_down,
            suspend_created_since=instant(suspend_created_since),
            claim=claim,
            public_key=public_key,
            own_secret=own_secret,
        )
        return self.send(once(f"/v1/keys/{part(key_id)}/resets", body, idempotency_key))

    def preview_reset(
        self, key_id: str, *, reason: str, grace: timedelta | str | None = None, waive_cool_down: bool | None = None
    ) -> A:
        """What a reset would do if it were asked now: dates, gap, proofs, and who called within the last 24 hours."""
        waived = None if waive_cool_down is None else str(waive_cool_down).lower()
        path = f"/v1/keys/{part(key_id)}/resets/preview"
        return self.send(get(path, reason=reason, grace=span(grace), waive_cool_down=waived))

    def list_resets(
        self,
        *,
        key_id: str | None = None,
        account_id: str | None = None,
        waiting: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> A:
        """A page of resets, newest first; `waiting` (`mine` or `any`) only those that wait to be claimed and minted."""
        query = {"key_id": key_id, "account_id": account_id, "waiting": waiting}
        return self.send(get("/v1/resets", **query, limit=limit, cursor=cursor))

    def get_reset(self, reset_id: str) -> A:
        """A reset as it now stands; during a grace `used_by` says who still uses the old secret."""
        return self.send(get(f"/v1/resets/{part(reset_id)}"))

    def claim_reset(self, reset_id: str, *, idempotency_key: str | None = None) -> A:
        """Take on a reset that was ordered.  Where this credential proves enough, the answer has `secret` at once."""
        return self.send(once(f"/v1/resets/{part(reset_id)}/claim", {}, idempotency_key))

    def mint_reset(
        self,
        reset_id: str,
        *,
        public_key: str | None = None,
        own_secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> A:
        """Make the new secret of a proven reset; the answer has it, once, with the receipt."""
        body = given(public_key=public_key, own_secret=own_secret)
        return self.send(once(f"/v1/resets/{part(reset_id)}/mint", body, idempotency_key))

    def cancel_reset(self, reset_id: str) -> A:
        """Call an open reset off."""
        return self.send(post(f"/v1/resets/{part(reset_id)}/cancel"))

    def finish_reset(self, reset_id: str) -> A:
        """Stop the old secret now, before its grace ends."""
        return self.send(post(f"/v1/resets/{part(reset_id)}/finish"))

    # The key this client holds

    def get_self(self) -> A:
        return self.send(get("/v1/self"))

    def reset_self(
        self,
        *,
        reason: str | None = None,
        grace: timedelta | str | None = None,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> A:
        """Reset the key this client holds.  The client goes on with the old secret: make a new one."""
        body = given(reason=reason, grace=span(grace), expected_version=expected_version)
        return self.send(once("/v1/self/reset", body, idempotency_key))

    def revoke_self(self) -> A:
        return self.send(post("/v1/self/revoke"))

    # Verifying

    def verify(
        self,
        key: str | None = None,
        *,
        key_sha256: str | None = None,
        label: str | None = None,
        signed: Mapping[str, str] | None = None,
        permissions: Permissions | None = None,
        ip: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> A:
        """Whether a presented key is accepted: `valid` and `code`.

        Takes the key; or its SHA-256 in hexadecimal, with the label of an own secret; or a signed request: `key_id`,
        `base` (RFC 9421) and `signature` (base64).
        """
        body = given(key=key, key_sha256=key_sha256, label=label, signed=signed)
        body |= given(permissions=texts(permissions), ip=ip, context=context)
        return self.send(post("/v1/verify", body))

    # Accounts

    def create_account(
        self,
        name: str,
        *,
        policy: str | None = None,
        floor: str | None = None,
        reset_allowlist: Iterable[str] | None = None,
        max_keys_per_user: int | None = None,
    ) -> A:
        body = given(
            name=name,
            policy=policy,
            floor=floor,
            reset_allowlist=texts(reset_allowlist),
            max_keys_per_user=max_keys_per_user,
        )
        return self.send(post("/v1/accounts", body))

    def list_accounts(self, *, limit: int | None = None, cursor: str | None = None) -> A:
        return self.send(get("/v1/accounts", limit=limit, cursor=cursor))

    def get_account(self, account_id: str) -> A:
        return self.send(get(f"/v1/accounts/{part(account_id)}"))

    def edit_account(
        self,
        account_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        policy: str | Unchanged | None = UNCHANGED,
        floor: str | Unchanged | None = UNCHANGED,
        reset_allowlist: Iterable[str] | Unchanged = UNCHANGED,
        max_keys_per_user: int | Unchanged | None = UNCHANGED,
    ) -> A:
        """Change what is named; None drops a policy, a floor or a number of keys."""
        body = changed(
            name=name,
            policy=policy,
            floor=floor,
            reset_allowlist=reset_allowlist if reset_allowlist is UNCHANGED else texts(reset_allowlist),
            max_keys_per_user=max_keys_per_user,
        )
        return self.send(Call(method="PATCH", path=f"/v1/accounts/{part(account_id)}", body=body))

    def suspend_account(self, account_id: str, *, reason: str | None = None) -> A:
        """Suspend every live key of an account in one step."""
        return self.send(post(f"/v1/accounts/{part(account_id)}/suspend", given(reason=reason)))

    # Policies and the audit log

    def list_policies(self) -> A:
        return self.send(get("/v1/policies"))

    def get_policy(self, name: str) -> A:
        return self.send(get(f"/v1/policies/{part(name)}"))

    def apply_policy(
        self,
        name: str,
        *,
        base: str | None = None,
        fields: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> A:
        """Store a policy or its next version; `impact` says what that changes.  A dry run stores nothing."""
        body = {**(fields or {}), **given(name=name, base=base), **({"dry_run": True} if dry_run else {})}
        return self.send(post("/v1/policies", body))

    def explain_policy(self, *, key_id: str | None = None, account_id: str | None = None) -> A:
        """Which policy is in force, and which named policy each field comes from."""
        return self.send(get("/v1/policies/explain", key_id=key_id, account_id=account_id))

    def list_audit(
        self,
        *,
        subject_id: str | None = None,
        account_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> A:
        """A page of the audit log, newest first."""
        return self.send(get("/v1/audit", subject_id=subject_id, account_id=account_id, limit=limit, cursor=cursor))
