"""The calls of the API about the fleet: nodes, verifiers, leases."""

from abc import ABC, abstractmethod
from typing import Generic

from keyturn.sdk.call import A, Call, get, part, post


class FleetCalls(ABC, Generic[A]):
    """A part of `Calls`."""

    @abstractmethod
    def send(self, call: Call) -> A:
        """Send one call and answer its JSON object; raises `ApiError` where the server said no."""

    def get_fleet(self) -> A:
        """Which nodes and verifiers there are, how far each has come, and the key of the receipts."""
        return self.send(get("/v1/fleet"))

    def get_fence(self, rev: int) -> A:
        """Who decides by the `rev` of a receipt; `final` once nobody is left who could decide as before."""
        return self.send(get(f"/v1/fleet/fences/{part(str(rev))}"))

    def set_fleet_terms(self, *, lease_ms: int, margin_ms: int) -> A:
        """Give leases of this length from now on; the margin is by how much two clocks may part within one."""
        return self.send(
            Call(method="PUT", path="/v1/fleet/terms", body={"lease_ms": lease_ms, "margin_ms": margin_ms})
        )

    def raise_epoch(self, epoch: int, *, reason: str) -> A:
        """End this epoch, as after a restore: every node and verifier drops what it holds and joins anew."""
        return self.send(post("/v1/fleet/raise-epoch", {"epoch": epoch, "reason": reason}))
