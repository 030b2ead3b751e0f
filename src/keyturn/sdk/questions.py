"""What a verifier asks a node beside its stream: a fill, a share, a verdict.  Standard library only."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from keyturn.core import feed
from keyturn.core.feed import KeyState, SecretState
from keyturn.core.instant import EPOCH, FOREVER, from_text
from keyturn.core.share import Rest, Share, Wish
from keyturn.sdk.nodes import FEED_PATH, Nodes, NodeUnavailable
from keyturn.verify.borrower import Lend
from keyturn.verify.decision import CODES, VALID, Verdict
from keyturn.verify.entry import Profile, pack
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier

_NOTHING: Final = Profile((), (), None)


class TooManyGuesses(Exception):  # noqa: N818  # says what stands in the way
    """So many wrong secrets came for a label that the next one waits (R42)."""

    def __init__(self, wait: int) -> None:
        super().__init__("too many wrong secrets")
        self.wait = wait


class Unleased(Exception):  # noqa: N818  # says what stands in the way
    """The node that was asked knows of no lease of this process, and tells it nothing to remember (F12)."""


def filler(nodes: Nodes, verifier: Verifier, *, label: str) -> Callable[[bytes], Fill]:
    """What asks a node about a secret that is not known here (F4).

    It raises NodeUnavailable, NotAllowed, TooManyGuesses or Unleased.
    """

    def find(fingerprint: bytes) -> Fill:
        asked = {"key_sha256": fingerprint.hex()} | ({"label": label} if label else {})
        answer = nodes.ask(f"{FEED_PATH}/fill", asked)
        try:
            if "retry_after" in answer:
                raise TooManyGuesses(int(answer["retry_after"]) * 1_000_000)
            if answer.get("unleased") is True:
                raise Unleased
            state = None if answer["state"] is None else feed.from_plain(answer["state"])
            if not isinstance(state, feed.KeyState | None):
                raise NodeUnavailable("an answer that is none")
            # Of another epoch it may not be kept: as old as can be, so that it is decided by and forgotten.
            rev = int(answer["rev"]) if answer["epoch"] == verifier.epoch else -1
            return Fill(
                rev=rev,
                state=state,
                version=int(answer["version"]),
                time=int(answer["time"]),
                epoch=int(answer["epoch"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NodeUnavailable("an answer that is none") from error

    return find


def lender(nodes: Nodes) -> Lend:
    """What asks a node for shares of limits (F15).  It raises NodeUnavailable or NotAllowed."""

    def lend(wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
        asked = {"wishes": [asdict(one) for one in wishes], "rests": [asdict(one) for one in rests]}
        answer = nodes.ask(f"{FEED_PATH}/share", asked)
        try:
            return [_share(one) for one in answer["shares"]]
        except (KeyError, TypeError, ValueError) as error:
            raise NodeUnavailable("an answer that is none") from error

    return lend


def _share(told: Mapping[str, Any]) -> Share:
    numbers = {name: int(told[name]) for name in ("requests", "interval", "window", "others", "wait")}
    if min(numbers.values()) < 0:
        raise ValueError("less than nothing")
    return Share(key_id=str(told["key_id"]), loan=str(told["loan"]), **numbers)


def told_verdict(answer: Mapping[str, Any]) -> Verdict:
    """The verdict that a node has written.  Raises NodeUnavailable for what is none."""
    code = answer.get("code")
    if code not in CODES or answer.get("valid") is not (code == VALID):
        raise NodeUnavailable("an answer that is none")
    try:
        wait = int(answer.get("retry_after", 0)) * 1_000_000
        if answer.get("key_id") is None:
            return Verdict(code, b"", _NOTHING, wait)
        profile = Profile(tuple(answer["permissions"]), (), None)
        return Verdict(code, pack(_state(answer), _secret(answer), 0), profile, wait)
    except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise NodeUnavailable("an answer that is none") from error


def _state(answer: Mapping[str, Any]) -> KeyState:
    expires_at = answer.get("expires_at")
    return KeyState(
        number=0,
        key_id=answer["key_id"],
        account_id=answer["account_id"],
        owner_id=answer["owner_id"],
        environment=answer["environment"],
        permissions=(),
        allowlist=(),
        limit=None,
        expires_at=from_text(expires_at) if expires_at else FOREVER,
        suspended=False,
        revoked=False,
        secrets=(),
    )


def _secret(answer: Mapping[str, Any]) -> SecretState:
    replaced_at = answer.get("replaced_at")
    return SecretState(
        version=answer["version"],
        starts_at=EPOCH,
        dangerous_starts_at=EPOCH,
        stops_at=from_text(replaced_at) if replaced_at else FOREVER,
        stopped=bool(replaced_at),
        replaced_by=answer.get("reset_id") or "",
        watched=False,
    )
