"""A proof as a person's browser shows it: what stands in the form, as a flow takes it."""

import json
from typing import Any

from keyturn.core.authenticator import Shown
from keyturn.core.proof import PASSKEY
from keyturn.web.form import Form


def shown(form: Form) -> Shown:
    """What the form shows: a code in the field named by its kind, or a passkey's answer that a script has put there."""
    kind = form("kind")
    return Shown(kind=kind, code=form(kind), credential=credential(form) if kind == PASSKEY else {})


def credential(form: Form) -> dict[str, Any]:
    """A passkey's answer in the JSON form of WebAuthn; empty for what is none."""
    try:
        read = json.loads(form.raw("credential"))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
