"""A fleet, as it is shown."""

from pydantic import Field

from keyturn.api.schemas.field import ShortText
from keyturn.api.schemas.form import Form, Shown

_MOST = (1 << 31) - 1


class RaiseEpoch(Form):
    """That one knows what it does: the epoch as it is, and why it ends."""

    epoch: int = Field(ge=0, le=_MOST, description="The epoch that ends, as `GET /v1/fleet` shows it.")
    reason: ShortText


class SetTerms(Form):
    """By which terms leases are to be given."""

    lease_ms: int = Field(ge=0, le=_MOST, description="How long a lease lasts: 200 to 20000.")
    margin_ms: int = Field(
        ge=0,
        le=_MOST,
        description="By how much two clocks may part within it: a thousandth to a fourth of it; 2.5 s at most of 20 s.",
    )


class EpochShown(Shown):
    """An epoch that has begun."""

    epoch: int
    nothing_confirmed_for_ms: int = Field(description="For how long no stop is confirmed, at the most.")


class StandingShown(Shown):
    """Somebody with a lease, as far as the node that answers knows."""

    instance: str
    name: str
    footing: str = Field(description="`leased`, `lapsed`, `unleased`, `left`, `ahead` or `earlier`.")
    lease_ends_in_ms: int = Field(description="At the most; 0 where it is over.")
    applied_rev: int
    acknowledged_rev: int = Field(description="Of a node: what it and all its verifiers decide by.")
    lag: int = Field(description="How many revisions are not acknowledged yet.")


class NodeShown(StandingShown):
    """A node and the verifiers attached to it."""

    verifiers: list[StandingShown]


class FenceShown(Shown):
    """Who decides by a revision, and until when the others are waited for."""

    rev: int
    acknowledged: int
    of: int
    waiting_for: list[str]
    waited_out: list[str] = Field(description="Who never acknowledged, and has no lease of before any more.")
    unleased: list[str] = Field(description="Who may answer from memory without a lease.")
    last_lease_ends_in_ms: int = Field(description="0 where nobody is waited for.")
    final: bool = Field(description="Nobody is left who could decide as before.")
    reason: str | None = Field(description="Why it will not be final, however long one waits.")


class TermsShown(Shown):
    """For how long leases are given."""

    lease_ms: int
    margin_ms: int = Field(description="By how much two clocks may part within a lease.")
    fence_ms: int = Field(description="How long a stop waits for a verifier that is silent: the lease and two margins.")


class FleetShown(Shown):
    """Nodes and verifiers, and what is waited for at the node that answers."""

    epoch: int
    rev: int
    terms: TermsShown
    receipt_key: str = Field(description="With which receipts are signed: name+id+base64 of a signed note.")
    confirms: bool = Field(description="Whether a commit is durable here; else no receipt says `confirmed` (F13).")
    reason: str | None
    answered_by: str
    nodes: list[NodeShown]
    fences: list[FenceShown]
