"""Policies, as they are stored, explained and shown."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from keyturn.api.schemas.field import PolicyName
from keyturn.api.schemas.form import Shown


class StorePolicy(BaseModel):
    """A policy of the operator's own: what differs from its base.  The other fields are those of GET /v1/policies."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: PolicyName
    base: PolicyName | None = None
    dry_run: bool = False


class PolicyShown(Shown):
    """A policy."""

    name: str
    version: int
    base: str | None
    preset: bool
    fields: dict[str, Any]
    sources: dict[str, str] | None


class ImpactShown(Shown):
    """What a policy finds when it is put in place (R32)."""

    keys: int
    keys_due: list[str]
    owners_over_limit: list[str]
    open_resets: list[str]


class StoredPolicy(PolicyShown):
    """A policy, and what it changes now."""

    impact: ImpactShown


class ExplainedField(Shown):
    """One field of the policy in force, and what made it so (R31)."""

    value: Any
    source: str = Field(alias="from")
    strictness: str
    doc: str


class ExplainedPolicy(Shown):
    """The policy in force, field by field."""

    policy: str
    fields: dict[str, ExplainedField]
