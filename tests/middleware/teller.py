"""Two applications that tell over a WebSocket which headers reached them."""

import json
import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from keyturn.sdk import Verifier
from keyturn.sdk.asgi import OPEN, KeyturnMiddleware
from keyturn.sdk.fastapi import AcceptedKey, Keyturn

verifier = Verifier(os.environ["KEYTURN_URL"].split(), credential_file=os.environ["KEYTURN_CREDENTIAL_FILE"])
keys = Keyturn(verifier)
api = FastAPI()
keys.install(api)


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Without a framework."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "websocket":
        await receive()
        headers = [name.decode() for name, _ in scope["headers"]]
        await send({"type": "websocket.accept"})
        text = json.dumps({"key_id": scope["keyturn"].key_id, "headers": headers})
        await send({"type": "websocket.send", "text": text})


app = KeyturnMiddleware(tell, verifier, needs={"/orders": "orders", "/health": OPEN})


@api.get("/health")
def health() -> None:
    """It is up."""


@api.websocket("/orders")
async def orders(websocket: WebSocket, key: Annotated[AcceptedKey, Depends(keys.needs("orders"))]) -> None:
    """With one."""
    await websocket.accept()
    await websocket.send_json({"key_id": key.key_id, "headers": websocket.headers.keys()})
