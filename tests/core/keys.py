"""A key, those who reset it, and the steps of a reset in few words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from keyturn.core import reset as protocol
from keyturn.core.actor import Actor, Channel
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key, Secret
from keyturn.core.policy import Policy, resolve
from keyturn.core.proof import CREDENTIAL, PASSWORD, Proof
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Reason, Reset, Step
from keyturn.core.secret import NewSecret, SecretText

T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEW = NewSecret(text=SecretText("x"), digest=b"d", pepper="p1", hint="kt_live_…abcd")
PLAIN = Policy(name="plain", proofs=(frozenset({PASSWORD}),), grace_max=7 * DAY)
DATED = replace(PLAIN, cool_down=DAY)


def after(span: timedelta) -> Instant:
    """So long after the stories begin."""
    return Instant(T0 + span)


def a_secret(version: int = 1, **changes: object) -> Secret:
    """A secret that has started."""
    made = Secret(
        version=version,
        digest=bytes([version]),
        pepper="p1",
        hint="kt_live_…abcd",
        created_at=T0,
        starts_at=T0,
        dangerous_starts_at=T0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # as the story names them


def a_key(*secrets: Secret, **changes: object) -> Key:
    """A key of `usr_1`, with one secret unless others are named."""
    made = Key(
        number=1,
        id="key_1",
        account_id="acc_1",
        owner_id="usr_1",
        name="bot",
        environment="live",
        brand="kt",
        permissions=("orders:write", "fills:read"),
        allowlist=("192.0.2.0/24",),
        limit=None,
        policy="",
        expires_at=FOREVER,
        created_at=T0,
        created_by="usr_1",
        secrets=secrets or (a_secret(),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # as the story names them


def an_actor(channel: Channel = Channel.MACHINE, **changes: object) -> Actor:
    """Somebody who may reset keys of the account."""
    made = Actor(
        id="usr_1" if channel is Channel.PERSON else "key_1" if channel is Channel.KEY else "key_robot",
        channel=channel,
        account_id="acc_1",
        user_id="usr_1",
        permissions=("keyturn.keys:reset",),
        in_deployment_account=False,
        address="198.51.100.7",
        session="ses_1" if channel is Channel.PERSON else "",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # as the story names them


MACHINE, PERSON, ITSELF = an_actor(), an_actor(Channel.PERSON), an_actor(Channel.KEY)


def ask(
    key: Key,
    reason: Reason = Reason.ROUTINE,
    *,
    actor: Actor = MACHINE,
    policy: Policy = PLAIN,
    now: Instant = T0,
    latest: Reset | None = None,
    enrolled: frozenset[str] = frozenset(),
    reset_allowlist: tuple[str, ...] = (),
    arrived_rev: int = 9,
    holder_gone: bool = False,
    **wishes: object,
) -> Step | Refusal:
    """`protocol.ask`, with what a story does not name."""
    return protocol.ask(
        key,
        Asking(reason=reason, **wishes),  # type: ignore[arg-type]  # as the story names them
        actor=actor,
        effective=resolve(key=policy, account=None, deployment=policy, floors=()),
        enrolled=enrolled,
        reset_allowlist=reset_allowlist,
        latest=latest,
        reset_id="rst_1",
        arrived_rev=arrived_rev,
        now=now,
        holder_gone=holder_gone,
    )


def good(step: Step | Refusal) -> Step:
    """The step, where there was one."""
    assert isinstance(step, Step), step
    return step


def proven(step: Step, *, actor: Actor = MACHINE, now: Instant = T0) -> Step:
    """Its proof shown, whatever the channel wants."""
    kind = {Channel.PERSON: PASSWORD, Channel.KEY: "key_itself"}.get(actor.channel, CREDENTIAL)
    proof = Proof(kind=kind, by=actor.id, at=now, session=actor.session)
    return good(protocol.prove(step.reset, step.key, proof, now=now))


def minted(
    key: Key, reason: Reason = Reason.ROUTINE, *, now: Instant = T0, actor: Actor = MACHINE, **asked: object
) -> Step:
    """A reset from asking to the new secret."""
    step = proven(good(ask(key, reason, now=now, actor=actor, **asked)), actor=actor, now=now)  # type: ignore[arg-type]  # as named
    return good(protocol.mint(step.reset, step.key, NEW, actor=actor, now=now))
