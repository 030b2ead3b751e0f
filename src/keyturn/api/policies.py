"""`/v1/policies`: read them, see what one would change, store one, explain the one in force (R30 to R32)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from keyturn.api.call import AnyCall, id_in_path
from keyturn.api.problem import field_name, shielded
from keyturn.api.schemas import ExplainedPolicy, Id, PageShown, PolicyShown, StoredPolicy, StorePolicy
from keyturn.core import policy as policies
from keyturn.core.policy import FIELDS, Effective, Policy
from keyturn.core.refusal import InvalidField, NameTaken, NotFound, Refusal, UnknownField
from keyturn.edge.refused import Refused
from keyturn.flow import policy as flow
from keyturn.flow.key import find
from keyturn.flow.policy import Drafted
from keyturn.ports.transaction import Transaction

router = APIRouter(prefix="/v1/policies", tags=["policies"])
_TAKEN = frozenset({"explain"})
"""Names under which a policy could not be read: they are addresses of other things."""


@router.get("", response_model=PageShown[PolicyShown], summary="List policies")
def listing(call: AnyCall) -> dict[str, Any]:
    """Presets first, then the operator's own."""
    found, _ = call.read(lambda tx: [_shown(call, tx, one) for one in tx.policies()])
    return {"items": found, "next_cursor": None}


@router.get("/explain", response_model=ExplainedPolicy, summary="Explain the policy in force")
def explain(
    call: AnyCall,
    key_id: Annotated[Id | None, Query(description="For this key.")] = None,
    account_id: Annotated[Id | None, Query(description="For new keys of this account.")] = None,
) -> dict[str, Any]:
    """Each field with the policy or floor that made it so; without a key or account, of the caller's account."""
    actor = call.actor
    if key_id is not None and account_id is not None:
        raise Refused(InvalidField(field="account_id", reason="name a key or an account, not both"))

    def question(tx: Transaction) -> Effective | Refusal:
        if key_id is not None:
            key = find(tx, actor, key_id)
            return key if isinstance(key, Refusal) else flow.effective_for_key(tx, key)
        account = tx.account(account_id or actor.account_id)
        return flow.explain_account(tx, actor, account) if account else NotFound()

    effective, _ = call.read(question)
    fields = {
        name: {
            "value": spec.to_wire(getattr(effective.policy, name)),
            "from": effective.source(name),
            "strictness": spec.strictness,
            "doc": spec.doc,
        }
        for name, spec in FIELDS.items()
    }
    return {"policy": effective.policy.name, "fields": fields}


@router.get("/{name}", response_model=PolicyShown, summary="Read a policy")
def show(call: AnyCall, name: str) -> dict[str, Any]:
    """Every field of it."""

    def question(tx: Transaction) -> dict[str, Any] | Refusal:
        policy = tx.policy(id_in_path(name))
        return _shown(call, tx, policy) if policy else NotFound()

    found, _ = call.read(question)
    return found


@router.post("", status_code=201, response_model=StoredPolicy, summary="Store a policy")
def store(call: AnyCall, body: StorePolicy, response: Response) -> dict[str, Any]:
    """With `dry_run`, tell only what it would change now."""
    fields = body.model_extra or {}
    if body.name in _TAKEN:
        raise Refused(NameTaken(field="name"))
    for name in fields:
        if name not in FIELDS:
            raise Refused(UnknownField(field=field_name([name])))

    def run(tx: Transaction) -> tuple[Drafted, dict[str, Any]] | Refusal:
        base = body.base or ""
        drafted = (
            flow.draft(tx, actor=call.actor, name=body.name, base=base, fields=fields)
            if body.dry_run
            else flow.store(tx, actor=call.actor, name=body.name, base=base, fields=fields)
        )
        if isinstance(drafted, InvalidField):
            return InvalidField(field=drafted.field, reason=shielded(drafted.reason))
        return drafted if isinstance(drafted, Refusal) else (drafted, _shown(call, tx, drafted.policy))

    (drafted, policy), _ = call.read(run) if body.dry_run else call.change(run)
    response.status_code = 200 if body.dry_run else 201
    impact = drafted.impact
    return policy | {
        "impact": {
            "keys": impact.keys,
            "keys_due": list(impact.keys_due),
            "owners_over_limit": list(impact.owners_over_limit),
            "open_resets": list(impact.open_resets),
        }
    }


def _shown(call: AnyCall, tx: Transaction, policy: Policy) -> dict[str, Any]:
    preset = tx.is_preset(policy.name)
    return {
        "name": policy.name,
        "version": policy.version,
        "base": policy.base or None,
        "preset": preset,
        "fields": policies.to_wire(policy),
        "sources": dict(call.node.preset_sources(policy.name)) if preset else None,
    }
