"""`/v1/authenticators`: a person's second factors; `/v1/sessions/current/proofs`: who is there, once more (R11)."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import shown
from keyturn.api.call import AnyCall, id_in_path
from keyturn.api.schemas import (
    AuthenticatorShown,
    AuthenticatorsShown,
    ConfirmTotp,
    EnrolledShown,
    EnrolPasskey,
    EnrolTotp,
    Nothing,
    RecoveryCodesShown,
    RenameAuthenticator,
    SessionProofShown,
    ShowAgain,
    TotpShown,
)
from keyturn.core.authenticator import RECENT, Shown
from keyturn.core.instant import later, to_text
from keyturn.core.proof import PASSWORD
from keyturn.edge.proving import matched_password
from keyturn.flow import enrolment as authenticators
from keyturn.flow import session_proof

router = APIRouter(tags=["authenticators"])


@router.get("/v1/authenticators", response_model=AuthenticatorsShown, summary="List your second factors")
def listing(call: AnyCall) -> dict[str, Any]:
    """Oldest first, and how many recovery codes are left."""
    listed, _ = call.read(lambda tx: authenticators.listing(tx, actor=call.actor))
    return {
        "items": [shown.authenticator(one) for one in listed.authenticators],
        "recovery_codes_left": listed.recovery_codes_left,
    }


@router.post("/v1/authenticators/totp", status_code=201, response_model=TotpShown, summary="Begin with a TOTP app")
def enrol_totp(call: AnyCall, body: EnrolTotp) -> dict[str, Any]:
    """The app's secret is in this answer and nowhere else, ever; show a first code next."""
    call.needs_https("authenticator.begun", call.actor.user_id)
    begun, _ = call.change(
        lambda tx: authenticators.enrol_totp(
            tx, actor=call.actor, name=body.name, forge=call.node.forge, authenticators=call.node.authenticators
        )
    )
    return shown.authenticator(begun.authenticator) | {"secret": begun.secret.reveal, "uri": begun.uri.reveal}


@router.post(
    "/v1/authenticators/totp/{authenticator_id}/confirm", response_model=EnrolledShown, summary="Show its first code"
)
def confirm_totp(call: AnyCall, authenticator_id: str, body: ConfirmTotp) -> dict[str, Any]:
    """From now on it is a second factor.  With the first one come recovery codes, shown this once."""
    authenticator_id = id_in_path(authenticator_id)
    call.needs_https("authenticator.enrolled", authenticator_id)
    made, _ = call.change(
        lambda tx: authenticators.confirm_totp(
            tx,
            actor=call.actor,
            authenticator_id=authenticator_id,
            code=body.code,
            authenticators=call.node.authenticators,
        )
    )
    return shown.enrolled(made)


@router.post("/v1/authenticators/passkeys/challenge", summary="What a browser asks of a new passkey")
def begin_passkey(call: AnyCall, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """For `navigator.credentials.create()`, in the JSON form of WebAuthn."""
    asked, _ = call.change(
        lambda tx: authenticators.begin_passkey(tx, actor=call.actor, authenticators=call.node.authenticators)
    )
    return dict(asked)


@router.post("/v1/authenticators/passkeys", status_code=201, response_model=EnrolledShown, summary="Enrol a passkey")
def enrol_passkey(call: AnyCall, body: EnrolPasskey) -> dict[str, Any]:
    """What `navigator.credentials.create()` answered.  With the first second factor come recovery codes."""
    call.needs_https("authenticator.enrolled", call.actor.user_id)
    made, _ = call.change(
        lambda tx: authenticators.enrol_passkey(
            tx,
            actor=call.actor,
            name=body.name,
            credential=body.credential,
            forge=call.node.forge,
            authenticators=call.node.authenticators,
        )
    )
    return shown.enrolled(made)


@router.post(
    "/v1/authenticators/recovery-codes", status_code=201, response_model=RecoveryCodesShown, summary="Make another set"
)
def new_recovery_codes(call: AnyCall, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """Shown this once; the earlier set is worth nothing any more."""
    call.needs_https("recovery_codes.made", call.actor.user_id)
    codes, _ = call.change(
        lambda tx: authenticators.new_recovery_codes(tx, actor=call.actor, authenticators=call.node.authenticators)
    )
    return {"codes": [one.reveal for one in codes]}


@router.patch("/v1/authenticators/{authenticator_id}", response_model=AuthenticatorShown, summary="Rename one")
def rename(call: AnyCall, authenticator_id: str, body: RenameAuthenticator) -> dict[str, Any]:
    """Call it something else."""
    authenticator_id = id_in_path(authenticator_id)
    renamed, _ = call.change(
        lambda tx: authenticators.rename(tx, actor=call.actor, authenticator_id=authenticator_id, name=body.name)
    )
    return shown.authenticator(renamed)


@router.delete("/v1/authenticators/{authenticator_id}", response_model=AuthenticatorShown, summary="Remove one")
def remove(call: AnyCall, authenticator_id: str) -> dict[str, Any]:
    """With the last one go the recovery codes."""
    authenticator_id = id_in_path(authenticator_id)
    removed, _ = call.change(lambda tx: authenticators.remove(tx, actor=call.actor, authenticator_id=authenticator_id))
    return shown.authenticator(removed)


@router.post("/v1/sessions/current/proofs/passkey", summary="What a browser asks of a passkey now", tags=["sessions"])
def ask_passkey(call: AnyCall, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """For `navigator.credentials.get()`, in the JSON form of WebAuthn."""
    asked, _ = call.change(
        lambda tx: session_proof.ask_passkey(tx, actor=call.actor, authenticators=call.node.authenticators)
    )
    return dict(asked)


@router.post(
    "/v1/sessions/current/proofs",
    status_code=201,
    response_model=SessionProofShown,
    summary="Show again who is there",
    tags=["sessions"],
)
async def show_again(call: AnyCall, body: ShowAgain) -> dict[str, Any]:
    """What changes second factors takes this within the last ten minutes.

    The session may do more now, so it goes on under the token in this answer.
    """
    call.needs_https("session.proven", call.actor.session)
    return await call.slowly(_show_again)(call, body)


def _show_again(call: AnyCall, body: ShowAgain) -> dict[str, Any]:
    matched = matched_password(call, body.password) if body.kind == PASSWORD else ""
    again = Shown(kind=body.kind, code=body.code or "", credential=body.credential or {})
    answer, _ = call.change(
        lambda tx: session_proof.show(
            tx,
            actor=call.actor,
            shown=again,
            matched_password=matched,
            forge=call.node.forge,
            authenticators=call.node.authenticators,
        )
    )
    proof = answer.proof
    return {
        "kind": proof.kind,
        "at": to_text(proof.at),
        "recent_until": to_text(later(proof.at, RECENT)),
        "token": answer.session.token,
    }
