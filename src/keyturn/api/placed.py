"""Where calls work: in threads of their kind, and in none while verifiers are waited for (F5, K8)."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any

from anyio import to_thread
from fastapi.routing import APIRoute

from keyturn.api import shown
from keyturn.edge.receipt import ReceiptDue
from keyturn.edge.visit import Visit


class Placed(APIRoute):
    """The route of calls that may stop something: their handlers answer with the receipt that is due.

    It is waited for here, for all of them: a stop must not wait for a thread that only waits.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401  # FastAPI's own
        super().__init__(path, _placed(endpoint), **options)


def _placed(handler: Callable[..., Any]) -> Callable[..., Awaitable[dict[str, Any]]]:
    @wraps(handler)
    async def answered(**named: Any) -> dict[str, Any]:  # noqa: ANN401  # the handler's own
        visit: Visit = named["call"] if "call" in named else named["visit"]
        if iscoroutinefunction(handler):
            made: dict[str, Any] = await handler(**named)
        else:
            made = await to_thread.run_sync(partial(handler, **named), limiter=visit.place)
        due = made.get("receipt")
        return made | {"receipt": shown.receipt(*await visit.receipts.of(due))} if isinstance(due, ReceiptDue) else made

    return answered
