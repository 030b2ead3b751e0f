"""What a body brings in place of a secret made here (R42), read and reckoned."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from anyio import to_thread

from keyturn.api.schemas import Brings
from keyturn.core.refusal import InvalidField
from keyturn.core.secret import SecretText
from keyturn.edge.refused import Refused
from keyturn.edge.visit import Visit
from keyturn.flow.bring import Bring
from keyturn.flow.own_secret import OwnSecrets

T = TypeVar("T")
P = ParamSpec("P")


def brought(visit: Visit, body: Brings | None, reckon: Callable[[OwnSecrets, SecretText], Bring]) -> Bring | None:
    """What the flow takes as `bring`.  Slow for an own secret: call it among the slow ones, and outside of changes."""
    if body is None:
        return None
    if body.public_key is not None and body.own_secret is not None:
        raise Refused(InvalidField(field="own_secret", reason="bring this or a public key, not both"))
    return body.public_key if body.own_secret is None else reckon(visit.node.own_secrets, body.own_secret)


def in_its_time(visit: Visit, body: Brings | None, work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """The work among the slow ones where it reckons with an own secret, else where its like are worked on."""
    if body is not None and body.own_secret is not None:
        return visit.slowly(work)

    async def run(*args: P.args, **named: P.kwargs) -> T:
        return await to_thread.run_sync(lambda: work(*args, **named), limiter=visit.place)

    return run
