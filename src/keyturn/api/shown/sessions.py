"""Sessions and what they are opened with, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core.authenticator import Authenticator
from keyturn.core.session import Session
from keyturn.flow.enrolment import Enrolled
from keyturn.flow.portal import Minted
from keyturn.flow.session import SignedIn


def authenticator(one: Authenticator) -> Wire:
    """A second factor."""
    return {
        "id": one.id,
        "kind": one.kind,
        "name": one.name,
        "made_at": when(one.made_at),
        "last_used_at": when(one.last_used_at),
    }


def enrolled(made: Enrolled) -> Wire:
    """A new second factor, with recovery codes this once."""
    return authenticator(made.authenticator) | {"recovery_codes": [one.reveal for one in made.recovery_codes]}


def session(one: Session, *, current: bool) -> Wire:
    """A session, without its token."""
    return {
        "id": one.id,
        "user_id": one.user_id,
        "account_id": one.account_id,
        "role": one.role.value,
        "kind": one.kind.value,
        "how": list(one.how),
        "current": current,
        "started_at": when(one.started_at),
        "seen_at": when(one.seen_at),
        "idle_ends_at": when(one.idle_ends_at),
        "ends_at": when(one.ends_at),
        "address": one.address,
        "user_agent": one.user_agent,
    }


def new_session(answer: SignedIn) -> Wire:
    """A session with its token, this once."""
    tokens = {"token": answer.token, "device_token": answer.device_token or None}
    return session(answer.session, current=True) | tokens


def portal(minted: Minted, *, base_url: str) -> Wire:
    """A portal with its address, this once."""
    one = minted.portal
    return {
        "id": one.id,
        "account_id": one.account_id,
        "user_id": one.user_id,
        "url": f"{base_url}/portal/{minted.token}",
        "made_at": when(one.made_at),
        "ends_at": when(one.ends_at),
        "proofs": [{"kind": proof.kind, "at": when(proof.at)} for proof in minted.counting],
        "embed_origin": one.embed_origin or None,
        "return_url": one.return_url or None,
    }
