"""Policies: named, typed values that say how keys live and how they are reset (R30, R31).

Each field has its wire form and its order of strictness beside it, in `FIELDS`.
A floor is a policy of which the stricter value wins, field by field.
Every decision can name the policy and the field that made it, through `Effective`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from keyturn.core import duration, permission
from keyturn.core.duration import UNTIL_STOPPED
from keyturn.core.proof import ProofSets, stricter_sets
from keyturn.core.proof import parse_sets as parse_proof_sets
from keyturn.core.proof import sets_to_wire as proof_sets_to_wire

DEFAULT_NAME: Final = "tradingonramp"
MOST_COUNT: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens, and after how long: `"drop_write:30d"`.  The effect `none` takes no time."""

    effect: str
    after: timedelta = timedelta(0)


NO_RULE: Final = Rule(effect="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy, complete.  Defaults are what a field means where neither file nor base says otherwise."""

    name: str
    version: int = 1
    base: str = ""
    max_age: timedelta | None = None
    on_max_age: str = "remind"
    cool_down: timedelta = timedelta(0)
    cool_down_scope: str = "whole_key"
    grace_default: timedelta = timedelta(0)
    grace_max: timedelta = timedelta(days=7)
    wait_for_first_use: bool = False
    quiet_after: timedelta | None = None
    proofs: ProofSets = field(default=(frozenset({"password", "captcha"}), frozenset({"password", "email_link"})))
    step_up: str = "enrolled"
    reset_origin: str = "any"
    manual: str = "protocol"
    own_secret: str = "forbidden"  # noqa: S105  # a choice, not a password
    self_reset: str = "forbidden"
    max_keys_per_user: int = 50
    allowlist_max: int = 100
    allowlist_required_for: tuple[str, ...] = ()
    hold_after_account_change: timedelta = timedelta(0)
    idle_expiry: timedelta | None = None
    no_allowlist_rule: Rule = NO_RULE
    on_password_change: Rule = NO_RULE
    on_member_added: Rule = NO_RULE
    on_leak: str = "suspend"
    expiry: str = "optional"
    attempts: int = 5
    proof_lasts: timedelta = timedelta(minutes=10)
    reset_lapses: timedelta = timedelta(minutes=30)
    vouching: str = "allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """How one policy field is read, written, compared and explained."""

    doc: str
    parse: Callable[[Any], Any]
    to_wire: Callable[[Any], Any]
    stricter: Callable[[Any, Any], Any]
    strictness: str
    """The order of strictness, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """The policy in force for one key, and which named policy each field came from (R31)."""

    policy: Policy
    sources: Mapping[str, str]

    def source(self, name: str) -> str:
        """The name of the policy, or the floor, that made the field what it is."""
        return self.sources[name]


def resolve(*, key: Policy | None, account: Policy | None, deployment: Policy, floors: tuple[Policy, ...]) -> Effective:
    """R31: the most specific policy applies; for each field the stricter of it and every floor wins."""
    chosen = key or account or deployment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, spec in FIELDS.items():
        values[name], sources[name] = getattr(chosen, name), chosen.name
        for floor in floors:
            stricter = spec.stricter(values[name], getattr(floor, name))
            if stricter != values[name]:
                values[name], sources[name] = stricter, floor.name
    return Effective(policy=replace(chosen, **values), sources=sources)


def stricter_policy(one: Policy, other: Policy) -> Policy:
    """`one` with each field made as strict as in `other` (R32: a change reaches open resets only where stricter)."""
    return replace(
        one, **{name: spec.stricter(getattr(one, name), getattr(other, name)) for name, spec in FIELDS.items()}
    )


def allows_own_secret(policy: Policy) -> bool:
    """Whether customers may choose their secrets (R42)."""
    return policy.own_secret == "allowed"  # noqa: S105  # a choice, not a password


def from_wire(wire: Mapping[str, Any], *, name: str, base: Policy | None, version: int = 1) -> Policy:
    """A policy of that name: the fields in `wire`, the rest from `base` (or the defaults).

    Raises PolicyFieldError naming the field for an unknown one or a value that cannot be read.
    """
    policy = replace(base, name=name, base=base.name, version=version) if base else Policy(name=name, version=version)
    values: dict[str, Any] = {}
    for key, value in wire.items():
        spec = FIELDS.get(key)
        if spec is None:
            raise PolicyFieldError(key, "no such field")
        try:
            values[key] = spec.parse(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise PolicyFieldError(key, str(error)) from None
    policy = replace(policy, **values)
    if policy.grace_default > policy.grace_max:
        raise PolicyFieldError("grace_default", "longer than grace_max")
    return policy


def to_wire(policy: Policy) -> dict[str, Any]:
    """Every field in its wire form, without name and version."""
    return {name: spec.to_wire(getattr(policy, name)) for name, spec in FIELDS.items()}


def differences(one: Policy, other: Policy) -> tuple[str, ...]:
    """The names of the fields in which two policies differ."""
    return tuple(name for name in FIELDS if getattr(one, name) != getattr(other, name))


class PolicyFieldError(ValueError):
    """A field of a policy could not be read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.field = name
        self.reason = reason


def _parse_span(value: Any) -> timedelta:  # noqa: ANN401  # anything may come over the wire
    if not isinstance(value, str):
        msg = 'write a duration such as "90d"'
        raise ValueError(msg)  # noqa: TRY004  # one kind of error for every bad value
    return duration.parse(value)


def _parse_finite(value: Any) -> timedelta:  # noqa: ANN401  # as above
    span = _parse_span(value)
    if span == UNTIL_STOPPED:
        msg = "this one needs an end"
        raise ValueError(msg)
    return span


def _span(doc: str, *, shorter: bool, endless: bool = False) -> Field:
    return Field(
        doc=doc,
        parse=_parse_span if endless else _parse_finite,
        to_wire=duration.to_text,
        stricter=min if shorter else max,
        strictness="shorter is stricter" if shorter else "longer is stricter",
    )


def _span_or_none(doc: str) -> Field:
    def stricter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
        return min((span for span in (one, other) if span is not None), default=None)

    return Field(
        doc=doc,
        parse=lambda value: None if value is None or value == "none" else _parse_finite(value),
        to_wire=lambda span: None if span is None else duration.to_text(span),
        stricter=stricter,
        strictness="shorter is stricter, none is laxest",
    )


def _choice(doc: str, *lax_to_strict: str) -> Field:
    def parse(value: Any) -> str:  # noqa: ANN401  # as above
        if value not in lax_to_strict:
            msg = f"one of {', '.join(lax_to_strict)}"
            raise ValueError(msg)
        return str(value)

    return Field(
        doc=doc,
        parse=parse,
        to_wire=str,
        stricter=lambda one, other: max(one, other, key=lax_to_strict.index),
        strictness=" < ".join(lax_to_strict),
    )


def _count(doc: str) -> Field:
    def parse(value: Any) -> int:  # noqa: ANN401  # as above
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_COUNT:
            msg = f"a whole number from 1 to {MOST_COUNT}"
            raise ValueError(msg)
        return value

    return Field(doc=doc, parse=parse, to_wire=int, stricter=min, strictness="fewer is stricter")


def _flag(doc: str) -> Field:
    def parse(value: Any) -> bool:  # noqa: ANN401  # as above
        if not isinstance(value, bool):
            msg = "true or false"
            raise ValueError(msg)  # noqa: TRY004  # one kind of error for every bad value
        return value

    return Field(
        doc=doc, parse=parse, to_wire=bool, stricter=lambda one, other: one and other, strictness="true < false"
    )


def _rule(doc: str, *lax_to_strict: str) -> Field:
    effects = ("none", *lax_to_strict)

    def parse(value: Any) -> Rule:  # noqa: ANN401  # as above
        if not isinstance(value, str):
            msg = 'write an effect and a time, such as "stop:7d", or "none"'
            raise ValueError(msg)  # noqa: TRY004  # one kind of error for every bad value
        effect, colon, after = value.partition(":")
        if effect not in effects or (effect != "none") != bool(colon):
            msg = f'"none", or one of {", ".join(lax_to_strict)} with a time, such as "{lax_to_strict[0]}:7d"'
            raise ValueError(msg)
        return Rule(effect=effect, after=_parse_finite(after)) if colon else NO_RULE

    return Field(
        doc=doc,
        parse=parse,
        to_wire=lambda rule: f"{rule.effect}:{duration.to_text(rule.after)}" if rule.effect != "none" else "none",
        stricter=lambda one, other: max(one, other, key=lambda rule: (effects.index(rule.effect), -rule.after)),
        strictness=" < ".join(effects) + "; sooner is stricter",
    )


def _permission_set(doc: str) -> Field:
    def parse(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            msg = 'a list of permissions such as ["*:write"]'
            raise ValueError(msg)
        return permission.parse_set(value)

    return Field(
        doc=doc,
        parse=parse,
        to_wire=list,
        stricter=lambda one, other: tuple(sorted({*one, *other})),
        strictness="more is stricter",
    )


def _hold() -> Field:
    return _span("How long dangerous changes wait after a change of password, address or second factor.", shorter=False)


FIELDS: Final[Mapping[str, Field]] = {
    "max_age": _span_or_none("How old a secret may grow before a reset is due."),
    "on_max_age": _choice("What happens then.", "remind", "require_reset", "suspend"),
    "cool_down": _span("How long after minting the new secret is not yet accepted.", shorter=False),
    "cool_down_scope": _choice(
        "Whether the cool-down holds back the whole key or only write and admin.", "dangerous_only", "whole_key"
    ),
    "grace_default": _span("How long the old secret goes on where nobody asked.", shorter=True, endless=True),
    "grace_max": _span("The longest grace that may be asked for.", shorter=True, endless=True),
    "wait_for_first_use": _flag("Whether the old secret waits, up to grace_max, for the first use of the new one."),
    "quiet_after": _span_or_none("Unused for so long, the old secret stops before its grace ends."),
    "proofs": Field(
        doc="The sets of proofs that are enough for a person; any one set will do.",
        parse=parse_proof_sets,
        to_wire=proof_sets_to_wire,
        stricter=stricter_sets,
        strictness="each set must hold one of the other's sets",
    ),
    "step_up": _choice("Whether TOTP or a passkey is wanted in addition.", "none", "enrolled", "required"),
    "reset_origin": _choice(
        "From which addresses a reset may start, by the account's reset_allowlist.",
        "any",
        "step_up_if_new",
        "allowlist_only",
    ),
    "manual": _choice("How people may reset.", "protocol", "two_step", "forbidden"),
    "own_secret": _choice("Whether customers may bring an own secret.", "allowed", "forbidden"),
    "self_reset": _choice("Whether a key may reset itself.", "allowed", "forbidden"),
    "max_keys_per_user": _count("How many live keys one user may have."),
    "allowlist_max": _count("How many networks one allowlist may have."),
    "allowlist_required_for": _permission_set("Permissions that a key may hold only with an allowlist."),
    "hold_after_account_change": _hold(),
    "idle_expiry": _span_or_none("Unused for so long, a key expires."),
    "no_allowlist_rule": _rule("What befalls a key without an allowlist.", "drop_write", "stop_if_idle", "stop"),
    "on_password_change": _rule("What befalls keys when the owner's password changes.", "hold", "reset", "stop"),
    "on_member_added": _rule("What befalls shared keys when the account gains a member.", "hold", "reset", "stop"),
    "on_leak": _choice("What a leak report does.", "suspend", "reset", "revoke"),
    "expiry": _choice("Whether a new key needs an expiry.", "optional", "asked", "required"),
    "attempts": _count("How many refused proofs end a reset."),
    "proof_lasts": _span("How long a proof stays fresh.", shorter=True),
    "reset_lapses": _span("How long a reset may stay open.", shorter=True),
    "vouching": _choice("Whether what an operator vouches for in a portal counts as proof.", "allowed", "forbidden"),
}
