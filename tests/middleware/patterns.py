"""Applications that are open but for orders and go by patterns, and two that tell which headers they have heard."""

import json
import os
from typing import Annotated, Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import re_path
from fastapi import Depends, FastAPI, Request

from keyturn.sdk import Verifier
from keyturn.sdk.asgi import OPEN, KeyturnMiddleware
from keyturn.sdk.fastapi import AcceptedKey, Keyturn

__all__ = ["get_wsgi_application"]  # gunicorn calls it

verifier = Verifier(os.environ["KEYTURN_URL"].split(), credential_file=os.environ["KEYTURN_CREDENTIAL_FILE"])
NEEDS: dict[str, Any] = {"/": OPEN, "/orders": "orders", "DELETE /orders": "orders:admin"}
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["keyturn.sdk.django.KeyturnMiddleware"],
    KEYTURN={"verifier": verifier, "needs": NEEDS},
)
urlpatterns = [re_path(r"^(?:orders|health)$", lambda _: HttpResponse("reached"))]
django = get_asgi_application()

keys = Keyturn(verifier)
api = FastAPI()


@api.delete("/orders")
@api.get("/orders")
@api.get("/health")
def reached() -> str:
    """What only those with a key should reach, and what everybody may."""
    return "reached"


@api.post("/told")
async def told(request: Request, _: Annotated[AcceptedKey, Depends(keys.needs())]) -> list[str]:
    """Which headers there are once the body is over."""
    async for _part in request.stream():
        pass
    return request.headers.keys()


async def _tell(scope: Any, receive: Any, send: Any) -> None:
    """The same without a framework."""
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    body = json.dumps([name.decode() for name, _ in scope["headers"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


fastapi = KeyturnMiddleware(api, verifier, needs=NEEDS)
tell = KeyturnMiddleware(_tell, verifier, needs={"/health": OPEN, "/told": ()})
