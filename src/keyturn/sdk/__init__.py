"""For other programs: `Client` and `AsyncClient` talk to a keyturn server, `Verifier` verifies in this process."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyturn.sdk.client import ApiError, AsyncClient, Client, InsecureAddress, ServerUnreachable
    from keyturn.sdk.verifier import LeaseLapsed, NodeUnavailable, NotAllowed, Verifier

_VERIFYING = ("LeaseLapsed", "NodeUnavailable", "NotAllowed", "Verifier")
__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "InsecureAddress",
    "LeaseLapsed",
    "NodeUnavailable",
    "NotAllowed",
    "ServerUnreachable",
    "Verifier",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever is asked for by name
    """Each name when it is first used: an HTTP client takes a while to import, and a verifier needs none."""
    if name in _VERIFYING:
        from keyturn.sdk import verifier  # noqa: PLC0415  # that is the point

        return getattr(verifier, name)
    if name in __all__:
        from keyturn.sdk import client  # noqa: PLC0415  # as above

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
