"""Orders behind keyturn, in FastAPI.

KEYTURN_URL=http://127.0.0.1:8787 KEYTURN_CREDENTIAL_FILE=verifier.key uvicorn --no-proxy-headers fastapi_app:app
"""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from keyturn.sdk import Verifier
from keyturn.sdk.fastapi import AcceptedKey, Keyturn

keys = Keyturn(
    Verifier(os.environ["KEYTURN_URL"].split(), credential_file=os.environ["KEYTURN_CREDENTIAL_FILE"]),
    proxies=os.environ.get("PROXIES", "").split(),
)
app = FastAPI()
keys.install(app)
Orders = Annotated[AcceptedKey, Depends(keys.needs("orders"))]
OrdersAdmin = Annotated[AcceptedKey, Depends(keys.needs("orders:admin"))]


@app.get("/orders")
@app.post("/orders")
def orders(key: Orders) -> dict[str, Any]:
    """By the method of the request, `orders:read` or `orders:write`."""
    return {"orders": [], "key_id": key.key_id}


@app.delete("/orders")
def drop_orders(key: OrdersAdmin) -> dict[str, Any]:
    """Whatever the method, `orders:admin`."""
    return {"orders": [], "key_id": key.key_id}


@app.websocket("/orders")
async def talk(websocket: WebSocket, key: Orders) -> None:
    """A WebSocket reads and writes, so `orders:write`."""
    await websocket.accept()
    async for heard in websocket.iter_text():
        await websocket.send_json({"key_id": key.key_id, "heard": heard})


@app.get("/health")
def health() -> dict[str, Any]:
    """For everybody."""
    return {"orders": [], "key_id": None}
