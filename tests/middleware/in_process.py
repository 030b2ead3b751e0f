"""One request to an ASGI application, without a server."""

from typing import Any

Messages = list[dict[str, Any]]


def scope(key: str = "", path: str = "/orders", **more: Any) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    plain = {"type": "http", "method": "GET", "path": path, "query_string": b"", "client": ("127.0.0.1", 1)}
    return plain | {"headers": headers} | more


async def ask(app: Any, asked: dict[str, Any]) -> Messages:
    """What the application sends."""
    sent: Messages = []

    async def receive() -> dict[str, Any]:
        kind = "websocket.connect" if asked["type"] == "websocket" else "http.request"
        return {"type": kind, "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(asked, receive, send)
    return sent


async def nothing(*_: Any) -> None:
    """An application without a word."""
