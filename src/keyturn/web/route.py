"""From a request to the page that answers it: cookies, session, same-site check, form, and what a refusal becomes."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keyturn.core.actor import Actor
from keyturn.core.portal import Portal
from keyturn.core.refusal import KeyInQuery, Refusal, Unauthenticated
from keyturn.core.session import SessionKind
from keyturn.edge.client_address import client_address
from keyturn.edge.outage import of_outage
from keyturn.edge.places import Aim
from keyturn.edge.receipt import ReceiptDue
from keyturn.edge.refused import Refused
from keyturn.edge.secure import is_secure
from keyturn.edge.signed_in import note_use
from keyturn.edge.slow import Slowly
from keyturn.edge.url import url_holds_secret
from keyturn.edge.visit import ARRIVED_REV, Call, Surroundings, Visit
from keyturn.flow import portal as portals
from keyturn.flow import session as sessions
from keyturn.flow.replay import Once
from keyturn.outside.forge import token_digest
from keyturn.ports.store import StoreUnavailable
from keyturn.ports.transaction import Transaction
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.browser import SESSION, Browser, browser_of, check_same_site
from keyturn.web.door import DASHBOARD, Door
from keyturn.web.form import NO_FORM, Form, read_form
from keyturn.web.page import Pages, answer, refusal_text, see_other
from keyturn.web.static import Static

A = TypeVar("A", bound=Asked)
_LONGEST_AGENT: Final = 200
_READ: Final = ("GET", "HEAD")
_PASSING: Final = (429, 503)
"""What may work when it is asked for again."""
StrangersPage = Callable[[Asked], Response]
MembersPage = Callable[[SignedIn], Response]


@dataclass(frozen=True, slots=True)
class House:
    """What every page of one server shares."""

    visits: Surroundings
    pages: Pages
    static: Static
    door: Door = DASHBOARD
    """The way in: the same pages lie behind several."""


Endpoint = Callable[[Request], Awaitable[Response]]
Place = Callable[[House], Route]
"""A page in its place, once it is known which server it speaks for."""


def shown(path: str, page: StrangersPage) -> Place:
    """A page for anybody."""
    return lambda house: Route(house.door.prefix + path, _for_anybody(house, page), methods=["GET"])


def posted(path: str, page: StrangersPage, *, slow: bool = False) -> Place:
    """A form from anybody.  `slow`: it reckons with passwords."""
    return lambda house: Route(house.door.prefix + path, _for_anybody(house, page, slow=slow), methods=["POST"])


def posted_to_stop(path: str, page: StrangersPage, *, known: Callable[[Asked], Response | None]) -> Place:
    """A form from anybody that stops something.  `known` answers whoever cannot, before they take a place for it."""
    return lambda house: Route(
        house.door.prefix + path, _for_anybody(house, page, aim=Aim.STOP, known=known), methods=["POST"]
    )


def posted_from_elsewhere(path: str, page: StrangersPage) -> Place:
    """A form that a page of the operator's sends; the handler itself checks whose it is."""
    return lambda house: Route(
        house.door.prefix + path, _for_anybody(house, page, from_elsewhere=True), methods=["POST"]
    )


def shown_to_members(path: str, page: MembersPage) -> Place:
    """A page for whoever is signed in."""
    return lambda house: Route(house.door.prefix + path, _for_members(house, page), methods=["GET"])


def posted_by_members(
    path: str, page: MembersPage, *, slow: bool = False, aim: Aim | Callable[[Form], Aim] = Aim.OTHER
) -> Place:
    """A form from whoever is signed in.  `aim`: what it is after, whatever it says or by what it says."""
    return lambda house: Route(
        house.door.prefix + path, _for_members(house, page, slow=slow, aim=aim), methods=["POST"]
    )


def _for_anybody(
    house: House,
    page: StrangersPage,
    *,
    slow: bool = False,
    aim: Aim = Aim.OTHER,
    from_elsewhere: bool = False,
    known: Callable[[Asked], Response | None] | None = None,
) -> Endpoint:
    def know(arrived: _Arrived) -> Asked | Response:
        asked = _asked(house, arrived)
        return (known(asked) if known else None) or asked

    async def endpoint(request: Request) -> Response:
        return await _answered(
            house,
            request,
            know,
            page,
            slow=house.visits.slowly if slow else None,
            aim=aim,
            from_elsewhere=from_elsewhere,
        )

    return endpoint


def _for_members(
    house: House, page: MembersPage, *, slow: bool = False, aim: Aim | Callable[[Form], Aim] = Aim.OTHER
) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await _answered(
            house,
            request,
            lambda arrived: _signed_in(house, arrived),
            page,
            slow=house.visits.slowly_known if slow else None,
            aim=aim,
        )

    return endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    """A request of good form."""

    request: Request
    browser: Browser
    visit: Visit
    form: Form
    owed: list[ReceiptDue] = field(default_factory=list)


async def _answered(
    house: House,
    request: Request,
    know: Callable[[_Arrived], A | Response],
    page: Callable[[A], Response],
    *,
    slow: Slowly | None,
    aim: Aim | Callable[[Form], Aim],
    from_elsewhere: bool = False,
) -> Response:
    node = house.visits.node
    secure = is_secure(request.scope, house.visits.proxies)
    https = secure and _over_https(request, house.visits)
    browser = browser_of(request, node, https=https, door=house.door)
    visit = Visit(
        node=node,
        metrics=house.visits.metrics,
        places=house.visits.places,
        receipts=house.visits.receipts,
        slowly=house.visits.slowly,
        aim=Aim.OTHER,
        secure=secure,
        address=client_address(request.scope, house.visits.proxies),
        user_agent=request.headers.get("user-agent", ""),
    )
    try:
        form = await _form(request, browser, from_elsewhere=from_elsewhere)
        visit = replace(visit, aim=aim if isinstance(aim, Aim) else aim(form))
        arrived = _Arrived(request=request, browser=browser, visit=visit, form=form)
        made = await _worked(know, page, arrived, slow=slow)
    except Refused as refused:
        return await _refused(house, request, browser, refused.refusal)
    except StoreUnavailable as error:
        house.visits.metrics.outages.inc()
        return await _refused(house, request, browser, of_outage(error))
    for due in arrived.owed:
        await house.visits.receipts.of(due)  # in no thread: nobody waits for those who wait
    return made


async def _form(request: Request, browser: Browser, *, from_elsewhere: bool) -> Form:
    """What was posted, once it is known to come from a page of ours in this very browser.  Raises Refused."""
    if url_holds_secret(request.scope):
        raise Refused(KeyInQuery())
    if request.method in _READ:
        return NO_FORM
    form = await read_form(request)
    if not from_elsewhere:
        check_same_site(request, browser, form("csrf"))
    return form


async def _worked(
    know: Callable[[_Arrived], A | Response],
    page: Callable[[A], Response],
    arrived: _Arrived,
    *,
    slow: Slowly | None,
) -> Response:
    """The page, in the place that it has.  Who asks is looked up before that is taken, if it is kept for some (K8)."""

    def whole(arrived: _Arrived) -> Response:
        known = know(arrived)
        return known if isinstance(known, Response) else page(known)

    if slow is not None:
        return await slow(whole)(arrived)
    place = arrived.visit.place
    if place is None:
        return await to_thread.run_sync(whole, arrived)
    known = await to_thread.run_sync(know, arrived, limiter=arrived.visit.places.verifying)
    return known if isinstance(known, Response) else await to_thread.run_sync(page, known, limiter=place)


def _over_https(request: Request, visits: Surroundings) -> bool:
    """Whether the browser itself speaks HTTPS, to us or to the listed proxy before us."""
    peer = request.client.host if request.client else ""
    return request.url.scheme == "https" or visits.proxies.admits(peer)


def _asked(house: House, arrived: _Arrived) -> Asked:
    return Asked(visit=arrived.visit, around={"who": None}, **_facts(house, arrived))


def _known(house: House, arrived: _Arrived) -> SignedIn | None:
    try:
        return _signed_in(house, arrived)
    except Refused as refused:
        if isinstance(refused.refusal, Unauthenticated):
            return None
        raise


def _signed_in(house: House, arrived: _Arrived) -> SignedIn:
    token = arrived.browser.cookie(SESSION)
    digest = token_digest(token)
    address, kind = arrived.visit.address, house.door.kind
    known = arrived.visit.node.store.glance(lambda tx: _who(tx, digest, address, kind)) if token else None
    if known is None:
        raise Refused(Unauthenticated())
    actor, around, due = known
    if due:
        note_use(arrived.visit.node, digest)
    visit = arrived.visit
    call = Call(
        node=visit.node,
        metrics=visit.metrics,
        places=visit.places,
        receipts=visit.receipts,
        slowly=visit.slowly,
        aim=visit.aim,
        secure=visit.secure,
        address=visit.address,
        user_agent=visit.user_agent,
        actor=actor,
        arrived_rev=arrived.request.scope[ARRIVED_REV],
        once=_once(actor, arrived),
    )
    return SignedIn(visit=call, call=call, around=around, **_facts(house, arrived))


def _facts(house: House, arrived: _Arrived) -> dict[str, Any]:
    request = arrived.request
    return {
        "browser": arrived.browser,
        "pages": house.pages,
        "form": arrived.form,
        "owed": arrived.owed,
        "path": request.path_params,
        "query": request.query_params,
        "live": request.headers.get("hx-request") == "true",
        "user_agent": request.headers.get("user-agent", "")[:_LONGEST_AGENT],
        "known": lambda: _known(house, arrived),
        "origin": request.headers.get("origin", ""),
        "here": request.url.path if request.method in _READ else "",
    }


def _who(
    tx: Transaction, digest: bytes, address: str | None, kind: SessionKind
) -> tuple[Actor, Mapping[str, Any], bool] | None:
    """Whoever the session belongs to, what every page says of them, and whether to note its use; one snapshot."""
    actor = sessions.whose(tx, digest, address=address, kind=kind)
    if actor is None:
        return None
    user, account = tx.user(actor.user_id), tx.account(actor.account_id)
    if user is None or account is None:
        return None
    around = {"who": actor, "user": user, "account": account} | _around_portal(tx, actor)
    return actor, around, sessions.is_due(tx, digest)


def _around_portal(tx: Transaction, actor: Actor) -> dict[str, Any]:
    """What the pages of a portal say besides: whose it is, and where it leads back to."""
    if not actor.through:
        return {}
    operator = tx.account(tx.deployment_account_id)
    return {"portal": tx.portal_of(actor.session), "operator": operator.name if operator else ""}


def _once(actor: Actor, arrived: _Arrived) -> Once | None:
    """A form that carries a `once` is carried out once, however often the button is pressed (R15)."""
    once = arrived.form("once")
    if not once or not once.isascii() or len(once) > 64:  # ours have 43 characters
        return None
    # What is asked is the form's address: its fields may be secrets, and a page of ours never sends two kinds.
    return Once(caller=actor.id, idempotency_key=f"form {once}", request=token_digest(arrived.request.scope["path"]))


async def _refused(house: House, request: Request, browser: Browser, refusal: Refusal) -> Response:
    over = isinstance(refusal, Unauthenticated)
    if over and not house.door.of_portals:
        return see_other("/", browser)
    # In a thread: the one that answers everybody waits for no database.
    portal = await to_thread.run_sync(_portal_of, house, browser) if house.door.of_portals else None
    goes_on = request.method in _READ and refusal.status in _PASSING
    html = house.pages.write(
        "portal_over.html" if over else "refused.html",
        browser,
        house.visits.node.clock.now(),
        who=None,
        portal=portal,
        done="",
        text=browser.words("portal.timed_out") if over else refusal_text(refusal, browser.words),
        status=refusal.status,
        back=request.url.path if goes_on else house.door.home,
        way="refused.again" if goes_on else "keys.title" if house.door.of_portals else "link.go_on",
    )
    retry = {"retry-after": str(getattr(refusal, "retry_after", 2))} if refusal.status in _PASSING else None
    framed_by = portal.embed_origin if portal and house.door.framed else ""
    return answer(html, browser, status=refusal.status, headers=retry, framed_by=framed_by)


def _portal_of(house: House, browser: Browser) -> Portal | None:
    """The portal whose session this browser had, also where that is over; None where nobody can say now."""
    token = browser.cookie(SESSION)
    with suppress(StoreUnavailable):
        return house.visits.node.store.glance(lambda tx: portals.of_token(tx, token_digest(token))) if token else None
    return None
