"""What a verifier asks a node beside its stream: a fill, a share, a verdict.  Standard library only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from keyturn.core import feed
from keyturn.core.feed import KeyState, SecretState
from keyturn.core.instant import EPOCH, FOREVER, from_text, to_micros
from keyturn.core.share import Rest, Share, Wish
from keyturn.sdk.nodes import FEED_PATH, Nodes
from keyturn.verify.borrower import Lend
from keyturn.verify.decision import CODES, VALID, Verdict
from keyturn.verify.entry import Profile, pack
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier

_MOST: Final = 1 << 62
_MOST_SECONDS: Final = 1 << 40
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
        return nodes.ask(f"{FEED_PATH}/fill", asked, lambda answer: _told_fill(answer, asked, verifier.epoch))

    return find


def _told_fill(answer: Mapping[str, Any], asked: Mapping[str, str], epoch: int) -> Fill:
    # A node of an earlier version does not name what it was asked.
    if answer.get("key_sha256", asked["key_sha256"]) != asked["key_sha256"]:
        raise ValueError("the answer to another question")
    if "retry_after" in answer:
        raise TooManyGuesses(_whole(answer["retry_after"], _MOST_SECONDS) * 1_000_000)
    if answer.get("unleased") is True:
        raise Unleased
    state = None if answer["state"] is None else feed.from_plain(answer["state"])
    if not isinstance(state, feed.KeyState | None):
        raise ValueError("no key")  # noqa: TRY004  # one kind of error for every answer that is none
    rev, told = _whole(answer["rev"]), _whole(answer["epoch"])
    return Fill(
        # Of another epoch it may not be kept: as old as can be, so that it is decided by and forgotten.
        rev=rev if told == epoch else -1,
        state=state,
        version=_whole(answer["version"]),
        time=_whole(answer["time"], to_micros(FOREVER)),
        epoch=told,
    )


def lender(nodes: Nodes) -> Lend:
    """What asks a node for shares of limits (F15).  It raises NodeUnavailable or NotAllowed."""

    def lend(wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
        asked = {"wishes": [asdict(one) for one in wishes], "rests": [asdict(one) for one in rests]}
        return nodes.ask(f"{FEED_PATH}/share", asked, lambda answer: [_share(one) for one in answer["shares"]])

    return lend


def _share(told: Mapping[str, Any]) -> Share:
    numbers = {name: _whole(told[name]) for name in ("requests", "interval", "window", "others", "wait")}
    return Share(key_id=_text(told["key_id"]), loan=_text(told["loan"]), **numbers)


def told_verdict(answer: Mapping[str, Any]) -> Verdict:
    """The verdict that a node has written; raises ValueError, KeyError, TypeError or struct.error for what is none."""
    code = answer.get("code")
    if code not in CODES or answer.get("valid") is not (code == VALID):
        raise ValueError("no verdict")
    wait = _whole(answer.get("retry_after", 0), _MOST_SECONDS) * 1_000_000
    if answer.get("key_id") is None:
        return Verdict(code, b"", _NOTHING, wait)
    profile = Profile(tuple(map(_text, answer["permissions"])), (), None)
    return Verdict(code, pack(_state(answer), _secret(answer), 0), profile, wait)


def _whole(value: Any, most: int = _MOST) -> int:  # noqa: ANN401  # any JSON
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("no whole number of this protocol")
    return value


def _text(value: Any) -> str:  # noqa: ANN401  # as above
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise ValueError("no name of this protocol")
    return value


def _state(answer: Mapping[str, Any]) -> KeyState:
    expires_at = answer.get("expires_at")
    return KeyState(
        number=0,
        key_id=_text(answer["key_id"]),
        account_id=_text(answer["account_id"]),
        owner_id=_text(answer["owner_id"]),
        environment=_text(answer["environment"]),
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
        version=_whole(answer["version"]),
        starts_at=EPOCH,
        dangerous_starts_at=EPOCH,
        stops_at=from_text(replaced_at) if replaced_at else FOREVER,
        stopped=bool(replaced_at),
        replaced_by=_text(answer.get("reset_id") or ""),
        watched=False,
    )
