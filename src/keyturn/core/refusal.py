"""Every "no" a caller could expect, one class each.

The subclasses are the complete list; docs/reference/problems.md has a heading for each.
A refusal is returned, never raised: raising would roll back the audit record of the refused attempt.
"""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A "no" the caller could expect.  Its fields become members of the problem document (RFC 9457)."""

    kind: ClassVar[str]
    """The stable code: last part of the problem type.  Never changes once released."""
    status: ClassVar[int]
    title: ClassVar[str]
    """One sentence for a person, the same for every occurrence."""


# Who asks, and what they may do


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthenticated(Refusal):
    """One answer for strangers: absent, unknown, malformed, revoked or expired credentials look alike (R52)."""

    kind: ClassVar[str] = "unauthenticated"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Show a valid credential."


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorRequired(Refusal):
    """The password was right; show one of the enrolled second factors with it (RFC 9470)."""

    kind: ClassVar[str] = "second_factor_required"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Signing in takes your second factor as well."
    enrolled: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialReplaced(Refusal):
    """The whole old secret was presented after it stopped (R52)."""

    kind: ClassVar[str] = "replaced"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "This secret was replaced by a reset."
    replaced_at: Instant
    reset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionMissing(Refusal):
    kind: ClassVar[str] = "permission_missing"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The credential lacks a right that this call needs."
    needed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderThanActor(Refusal):
    """No child is wider than its parent (pitfall 8)."""

    kind: ClassVar[str] = "wider_than_actor"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "A credential cannot hand out, or reset a key that holds, more than it holds itself."
    beyond: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRequired(Refusal):
    """A secret is handed out over HTTPS only (K11)."""

    kind: ClassVar[str] = "https_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This answer would hold a secret, so it is given over HTTPS only."


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginRefused(Refusal):
    """The address is not one from which a reset may start (K9)."""

    kind: ClassVar[str] = "reset_origin_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Resets may not start from this address; suspending is possible from anywhere."
    policy: str
    field: str = "reset_origin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualResetForbidden(Refusal):
    """R43: people may not start resets under this policy."""

    kind: ClassVar[str] = "manual_reset_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy leaves resets to automation and support."
    policy: str
    field: str = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfResetForbidden(Refusal):
    """R40: whoever holds a stolen key could take its successor."""

    kind: ClassVar[str] = "self_reset_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy does not let a key reset itself; it may always revoke itself."
    policy: str
    field: str = "self_reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSecretForbidden(Refusal):
    """R42: secrets are made here, unless the policy allows customers to choose them."""

    kind: ClassVar[str] = "own_secret_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy does not let customers choose their own secrets."
    policy: str
    field: str = "own_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRefused(Refusal):
    """A proof was wrong.  Which part was wrong is not told."""

    kind: ClassVar[str] = "proof_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The proof was not accepted."
    attempts_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorTooNew(Refusal):
    """R24: two administrators are two people, and not one who makes another one for the purpose."""

    kind: ClassVar[str] = "administrator_too_new"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This takes an administrator who was one before the reset was asked for."
    asked_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRequired(Refusal):
    """R22: lifting a suspension takes the full proof that a reset would take."""

    kind: ClassVar[str] = "proof_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This takes full proof of who asks."
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSite(Refusal):
    """A form that another site sent, or that this browser was not shown: its page was left open too long, perhaps."""

    kind: ClassVar[str] = "cross_site"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This form did not come from a page of ours in this browser; load the page again."


# Second factors


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRequired(Refusal):
    """A key never proves for a person, nor speaks for one (R40)."""

    kind: ClassVar[str] = "person_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Only a signed-in person can do this; a key cannot."


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorRefused(Refusal):
    """A code or a passkey was wrong, late or used before.  Which of these is not told."""

    kind: ClassVar[str] = "authenticator_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The code or passkey was not accepted."


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorNotEnrolled(Refusal):
    """The policy wants a second factor of somebody who has none; any of `wanted` opens a way."""

    kind: ClassVar[str] = "second_factor_not_enrolled"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This takes a second factor, and you have enrolled none that will do; enrol one first."
    wanted: tuple[str, ...]
    policy: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyAuthenticators(Refusal):
    kind: ClassVar[str] = "too_many_authenticators"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There are as many authenticators as one person may have; remove one first."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyAddresses(Refusal):
    kind: ClassVar[str] = "too_many_addresses"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "No more addresses can be told; remove one first."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptchaAway(Refusal):
    """The CAPTCHA's service is away, so that proof cannot be had; nothing was counted."""

    kind: ClassVar[str] = "captcha_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The CAPTCHA cannot be checked now; try again, or prove it another way."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeysUnavailable(Refusal):
    """Passkeys need the extra `passkeys`, and an address with a name that they can be bound to."""

    kind: ClassVar[str] = "passkeys_unavailable"
    status: ClassVar[int] = 501
    title: ClassVar[str] = "This server cannot use passkeys."
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptchaRequired(Refusal):
    """Too many have tried to sign in as this user: show with the next try that a CAPTCHA was solved (K8)."""

    kind: ClassVar[str] = "captcha_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Solve a CAPTCHA and try again with it."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRefused(Refusal):
    """What was shown as the present password is not it."""

    kind: ClassVar[str] = "password_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The present password was wrong."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordUnfit(Refusal):
    """`too_short`, `too_long`, `common`, `pattern`, or `known_words`: names that everybody knows of this person."""

    kind: ClassVar[str] = "password_unfit"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "That password is too short, too long or too easily guessed; choose another one."
    reason: str
    least: int
    most: int


# Portals


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRequired(Refusal):
    """An operator's program opens portals for people it knows; people sign in themselves."""

    kind: ClassVar[str] = "credential_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Only a key can do this; a signed-in person cannot."


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchingForbidden(Refusal):
    """Open the portal without proofs: the person is asked for all of them."""

    kind: ClassVar[str] = "vouching_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy wants every proof from the person; nobody can vouch for one."
    policy: str
    field: str = "vouching"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalUnavailable(Refusal):
    """A link starts with the address this server is reached at, and a request does not say which (pitfall 21)."""

    kind: ClassVar[str] = "portal_unavailable"
    status: ClassVar[int] = 501
    title: ClassVar[str] = "This server does not know by which address people reach it; set `base_url`."


# Signing in with a provider


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefused(Refusal):
    """Not begun in this browser, too late, used before, or not the provider's word.  Which of these is not told."""

    kind: ClassVar[str] = "provider_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Signing in with the provider did not work; begin again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAway(Refusal):
    kind: ClassVar[str] = "provider_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The provider cannot be reached; sign in another way, or try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnknown(Refusal):
    """Nobody signs in with that account of the provider's yet."""

    kind: ClassVar[str] = "identity_unknown"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Nobody here is known by that account; sign in another way and connect it, or be invited."


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityTaken(Refusal):
    kind: ClassVar[str] = "identity_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Somebody signs in with that account of the provider's already."


# Mailed links


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpent(Refusal):
    """A mailed link that was used, or whose time is over."""

    kind: ClassVar[str] = "link_spent"
    status: ClassVar[int] = 410
    title: ClassVar[str] = "This link was used already, or its time is over; ask for a new one."


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyLinks(Refusal):
    """Somebody's mailbox is not to be filled: so many links are mailed for one reset, and no more."""

    kind: ClassVar[str] = "too_many_links"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "No more links are mailed for this reset; use the newest, or prove it another way."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongBrowser(Refusal):
    """R51: a link proves something only in the browser that asked for it."""

    kind: ClassVar[str] = "wrong_browser"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Open this link in the browser in which it was asked for."


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTheAsker(Refusal):
    """The new secret goes to whoever asked and proved it, in the same session, and to nobody else."""

    kind: ClassVar[str] = "not_the_asker"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Only whoever asked for this reset may take the next step."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofNotWanted(Refusal):
    kind: ClassVar[str] = "proof_not_wanted"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A proof of this kind does not help this reset."
    missing: tuple[str, ...]


# What is there


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound(Refusal):
    """Absent and somebody else's look alike (pitfall 18)."""

    kind: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404
    title: ClassVar[str] = "There is no such thing here."


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTaken(Refusal):
    kind: ClassVar[str] = "name_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "That name is in use already."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyUsed(Refusal):
    """R42: each secret of each key is a new one, and so is each public key."""

    kind: ClassVar[str] = "public_key_used"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This public key was brought here before; make a new pair."


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyMember(Refusal):
    kind: ClassVar[str] = "already_member"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This person is a member of the account already."


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressUnconfirmed(Refusal):
    """Nobody signs in with an address that no mail has reached."""

    kind: ClassVar[str] = "address_unconfirmed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Open the link that was mailed to this address first."


@dataclass(frozen=True, slots=True, kw_only=True)
class LastOwner(Refusal):
    """An account without an owner would be nobody's to look after."""

    kind: ClassVar[str] = "last_owner"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "An account keeps at least one owner; name another one first."


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyInvitations(Refusal):
    kind: ClassVar[str] = "too_many_invitations"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Too many invitations are open; withdraw some."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRevoked(Refusal):
    kind: ClassVar[str] = "key_revoked"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The key is revoked; nothing brings it back."
    revoked_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExpired(Refusal):
    kind: ClassVar[str] = "key_expired"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The key has expired; a reset never revives one."
    expired_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanged(Refusal):
    """The key has moved on since the caller looked, or since this request arrived (R14, R15)."""

    kind: ClassVar[str] = "key_changed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The key has moved on; look at it again."
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHeld(Refusal):
    """After a change of password, address or second factor; suspending, revoking and narrowing stay free."""

    kind: ClassVar[str] = "account_held"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The account has changed lately, so what widens a key has to wait."
    until: Instant
    policy: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLimitReached(Refusal):
    kind: ClassVar[str] = "webhook_limit_reached"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This account has as many webhooks as allowed."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimitReached(Refusal):
    kind: ClassVar[str] = "key_limit_reached"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This user has as many live keys as allowed."
    limit: int
    policy: str
    field: str = "max_keys_per_user"


# The order of the protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAlreadyOpen(Refusal):
    kind: ClassVar[str] = "reset_already_open"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A reset of this key is open already."
    reset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWaits(Refusal):
    """R41: whoever claims it proves, and receives."""

    kind: ClassVar[str] = "claim_waits"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This reset was ordered and waits to be claimed; claim it first."
    reset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTaken(Refusal):
    kind: ClassVar[str] = "claim_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Somebody else has claimed this reset and is proving who they are."
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToClaim(Refusal):
    kind: ClassVar[str] = "nothing_to_claim"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Nobody ordered this reset; whoever asked for it goes on with it."


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfOrder(Refusal):
    kind: ClassVar[str] = "reset_out_of_order"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "That step is not possible at this stage of the reset."
    stage: str
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotStarted(Refusal):
    """Stopping the old secret now would leave none that is accepted (R21)."""

    kind: ClassVar[str] = "new_not_started"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The new secret is not accepted yet, so the old one cannot be stopped without a gap."
    new_starts_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetLapsed(Refusal):
    kind: ClassVar[str] = "reset_lapsed"
    status: ClassVar[int] = 410
    title: ClassVar[str] = "The reset was left open too long and has lapsed; ask again."
    lapsed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyAttempts(Refusal):
    kind: ClassVar[str] = "too_many_attempts"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many proofs were refused; the reset has ended."
    policy: str
    field: str = "attempts"


# What was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening(Refusal):
    """R23: a reset may narrow, never widen."""

    kind: ClassVar[str] = "widening_refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A reset may narrow a key, never widen it."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceTooLong(Refusal):
    kind: ClassVar[str] = "grace_too_long"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The policy allows a shorter grace."
    grace_max: str
    policy: str
    field: str = "grace_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistRequired(Refusal):
    kind: ClassVar[str] = "allowlist_required"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A key with these permissions needs an allowlist."
    permissions: tuple[str, ...]
    policy: str
    field: str = "allowlist_required_for"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistTooLong(Refusal):
    kind: ClassVar[str] = "allowlist_too_long"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The allowlist has more entries than the policy allows."
    limit: int
    policy: str
    field: str = "allowlist_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRequired(Refusal):
    kind: ClassVar[str] = "expiry_required"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The policy wants every key to have an expiry."
    policy: str
    field: str = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSecretRefused(Refusal):
    """R42: one answer, and the same work, whether it is too easy to guess or somebody has used it here before."""

    kind: ClassVar[str] = "own_secret_refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = (
        "An own secret has 32 to 128 visible ASCII characters, is hard to guess (80 bits) and was never used here."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidField(Refusal):
    """A field has a value that cannot be used."""

    kind: ClassVar[str] = "invalid_field"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A field has a value that cannot be used."
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownField(Refusal):
    kind: ClassVar[str] = "unknown_field"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The body has a field that this call does not know."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyUnknown(Refusal):
    kind: ClassVar[str] = "policy_unknown"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "There is no policy of that name."
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKeyReused(Refusal):
    kind: ClassVar[str] = "idempotency_key_reused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "This Idempotency-Key was used for a different request."


# The form of the request


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedBody(Refusal):
    kind: ClassVar[str] = "malformed_body"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The body is not JSON that can be read."
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateField(Refusal):
    kind: ClassVar[str] = "duplicate_field"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The body names a field twice."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateHeader(Refusal):
    kind: ClassVar[str] = "duplicate_header"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "A header that must be single was sent twice, or two headers name different keys."
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidHeader(Refusal):
    kind: ClassVar[str] = "invalid_header"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "A header has a value that cannot be used."
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInQuery(Refusal):
    """Addresses are logged and shared; a secret in one is a leaked secret."""

    kind: ClassVar[str] = "key_in_query"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "A key does not belong into a URL; consider it leaked and reset it."


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodNotAllowed(Refusal):
    kind: ClassVar[str] = "method_not_allowed"
    status: ClassVar[int] = 405
    title: ClassVar[str] = "This address does not take that method."


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyTooLarge(Refusal):
    kind: ClassVar[str] = "body_too_large"
    status: ClassVar[int] = 413
    title: ClassVar[str] = "The body is over 64 KiB."


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedMediaType(Refusal):
    kind: ClassVar[str] = "unsupported_media_type"
    status: ClassVar[int] = 415
    title: ClassVar[str] = "Send the body as application/json."


# The state of the service


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyRequests(Refusal):
    kind: ClassVar[str] = "too_many_requests"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many requests; wait before the next one."
    retry_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy(Refusal):
    """The store answered, yet so many changes were waiting that this one was turned away; nothing was changed."""

    kind: ClassVar[str] = "busy"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Too many changes at once; nothing was changed, try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAway(Refusal):
    kind: ClassVar[str] = "store_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The database cannot be reached or written; nothing was changed."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLapsed(Refusal):
    """F3: this holder may not answer from memory any longer."""

    kind: ClassVar[str] = "lease_lapsed"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "This verifier has not heard from its authority in time."
