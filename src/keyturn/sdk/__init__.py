"""For other programs: `Client` and `AsyncClient` talk to a keyturn server."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyturn.sdk.client import ApiError, AsyncClient, Client, InsecureAddress, ServerUnreachable

__all__ = ["ApiError", "AsyncClient", "Client", "InsecureAddress", "ServerUnreachable"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever is asked for by name
    """Each name when it is first used: an HTTP client takes a while to import, a verifier needs none."""
    if name in __all__:
        from keyturn.sdk import client  # noqa: PLC0415  # that is the point

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
