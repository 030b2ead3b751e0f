"""What tests of the verifier do to it, and ask about it."""

import time
from collections.abc import Callable
from typing import Any, Final

from keyturn.sdk import Verifier
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.questions import filler
from keyturn.verify.memory import Fill
from tests.serving import Serving

LONG: Final = 60.0


def until(holds: Callable[[], object]) -> None:
    """Wait for what must come."""
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def lapse(verifier: Verifier) -> None:
    """Hear nothing from the authority any more, and for longer than the lease."""
    verifier._attachment.stop()
    verifier._holder.deadline = boot_micros() - 1


def reset(server: Serving, key_id: str) -> dict[str, Any]:
    body: dict[str, Any] = server.call(f"/v1/keys/{key_id}/resets", {"reason": "leaked"}).body
    return body


def find(verifier: Verifier) -> Callable[[bytes], Fill]:
    """What it asks a node with about a secret that it does not know."""
    return filler(verifier._nodes, verifier._memory, label="")


def served(server: Serving) -> dict[str, int]:
    """How many requests the node has answered, by route."""
    found: dict[str, int] = {}
    for line in server.call("/metrics").text.splitlines():
        if line.startswith("keyturn_http_request_seconds_count"):
            route = line.partition('route="')[2].partition('"')[0]
            found[route] = found.get(route, 0) + int(float(line.rpartition(" ")[2]))
    return found
