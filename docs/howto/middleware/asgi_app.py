"""Orders behind keyturn, in ASGI without a framework.

KEYTURN_URL=http://127.0.0.1:8787 KEYTURN_CREDENTIAL_FILE=verifier.key uvicorn --no-proxy-headers asgi_app:app
"""

import json
import os
from typing import Any

from keyturn.sdk import Verifier
from keyturn.sdk.asgi import OPEN, KeyturnMiddleware


async def orders(scope: Any, receive: Any, send: Any) -> None:
    """Answer whose key came; it is None where none was asked for."""
    if scope["type"] == "lifespan":
        return
    key = scope["keyturn"]
    if scope["type"] == "websocket":
        await talk(key.key_id, receive, send)
        return
    body = json.dumps({"orders": [], "key_id": key and key.key_id}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def talk(key_id: str, receive: Any, send: Any) -> None:
    """Answer each message with whose key it came by."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": json.dumps({"key_id": key_id, "heard": message["text"]})})


app = KeyturnMiddleware(
    orders,
    Verifier(os.environ["KEYTURN_URL"].split(), credential_file=os.environ["KEYTURN_CREDENTIAL_FILE"]),
    needs={"/health": OPEN, "/orders": "orders", "DELETE /orders": "orders:admin"},
    proxies=os.environ.get("PROXIES", "").split(),
)
