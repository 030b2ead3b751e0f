"""The wire: each message survives it, and nothing else comes through (F2, F6, K11)."""

import json
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyturn.core.feed import FeedEntry, Predicate
from keyturn.core.instant import from_micros
from keyturn.core.lease import DENIALS, LONGEST_STALE, Acknowledgement, Denial, Grant, Push, Renewal, Terms
from keyturn.core.limit import Limit
from keyturn.core.share import Rest
from keyturn.verify import message
from keyturn.verify.holder import Holder
from keyturn.verify.message import LONGEST_NAME, MOST_USES, GiveBack, Message, Report, give_backs, read, reports, write
from keyturn.verify.usage import LONGEST_AGENT, Callers, Origin, Tally, Uses
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, entry, key, version

# -- every message there is

numbers = st.integers(0, (1 << 62) - 1)
names = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=LONGEST_NAME)
agents = st.text(max_size=LONGEST_AGENT)
instants = st.integers(0, 253_402_300_799_000_000).map(from_micros)
secrets = st.builds(
    version,
    st.integers(0, (1 << 32) - 1),
    starts_at=instants,
    dangerous_starts_at=instants,
    stops_at=instants,
    stopped=st.booleans(),
    replaced_by=names,
    watched=st.booleans(),
    public_key=st.binary(max_size=32),
)
limits = st.none() | st.builds(
    Limit,
    requests=st.integers(1, 10**9),
    window=st.integers(1, 31 * 86_400).map(lambda count: timedelta(seconds=count)),
)
changes = st.builds(Predicate, account_id=names, owner_id=names) | st.builds(
    key,
    st.integers(0, (1 << 63) - 1),
    key_id=names,
    account_id=names,
    owner_id=names,
    environment=names,
    permissions=st.lists(names, max_size=3).map(tuple),
    allowlist=st.lists(names, max_size=3).map(tuple),
    limit=limits,
    expires_at=instants,
    suspended=st.booleans(),
    revoked=st.booleans(),
    secrets=st.lists(secrets, max_size=2).map(tuple),
)
entries = st.lists(st.builds(FeedEntry, rev=numbers, at=instants, change=changes), max_size=3).map(tuple)
wanted = st.lists(names, max_size=3).map(tuple)
times, counts = st.integers(0, 253_402_300_799_999_999), st.integers(0, 999_999_999)
origins = st.builds(Origin, numbers, st.integers(0, (1 << 31) - 1), st.none() | names, wanted, agents)
messages: Final[st.SearchStrategy[Message]] = st.one_of(
    st.builds(Terms, length=numbers, margin=numbers),
    st.builds(
        Renewal,
        instance=names.map(lambda name: name.replace(" ", "")).filter(bool),
        nonce=numbers,
        epoch=numbers,
        applied_rev=numbers,
        acked_rev=numbers,
        applied_at=numbers,
        stale=st.integers(0, LONGEST_STALE),
        name=names,
    ),
    st.builds(
        Grant,
        nonce=numbers,
        length=numbers,
        epoch=numbers,
        rev=numbers,
        entries=entries,
        time=numbers,
        at=numbers,
        width=numbers,
        anew=st.booleans(),
    ),
    st.builds(Push, epoch=numbers, entries=entries),
    st.builds(Acknowledgement, epoch=numbers, rev=numbers),
    st.builds(Denial, nonce=numbers, reason=st.sampled_from(DENIALS)),
    st.builds(
        Report,
        last=st.lists(st.tuples(numbers, times), max_size=3).map(tuple),
        watched=st.lists(st.tuples(origins, st.builds(Tally, counts, times, times)), max_size=2).map(tuple),
        callers=st.lists(st.builds(Callers, numbers, st.none() | names, wanted, agents, counts, times), max_size=2).map(
            tuple
        ),
    ),
    st.builds(
        GiveBack,
        rests=st.lists(st.builds(Rest, key_id=names, loan=names, requests=st.integers(0, 10**9)), max_size=3).map(
            tuple
        ),
    ),
)


@given(messages)
def test_each_message_survives_the_wire(sent: Message) -> None:
    line = write(sent)
    assert read(line) == sent
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1, "or it would be two"


# -- everything else

GRANT: Final = Grant(
    nonce=1, length=5, epoch=1, rev=2, entries=(entry(2, key(secrets=(version(),))),), time=NOW, at=NOW
)
REPORT: Final = Report(
    last=((1, 2),),
    watched=((Origin(1, 1, "192.0.2.1", ("orders:read",), "bot"), Tally(1, 2, 3)),),
    callers=(Callers(1, None, (), "bot", 2, 3),),
)
BACK: Final = GiveBack(rests=(Rest(key_id="key_1", loan="loan_1", requests=3),))
RENEWAL: Final = Renewal(instance="v", nonce=1, epoch=1, applied_rev=2, acked_rev=2)


def _changed(sent: Message, *path: Any, to: Any) -> bytes:
    """The line of `sent` with one value replaced; `...` takes it away."""
    plain = json.loads(write(sent))
    at = plain
    for step in path[:-1]:
        at = at[step]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return json.dumps(plain).encode()


CHANGE = ("entries", 0, "change")
SECRET = (*CHANGE, "secrets", 0)
FORGED: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"grant",
    "no text": b"\xff\xfe\xfd",
    "cut short": write(GRANT)[:-5],
    "less than nothing given back": _changed(BACK, "rests", 0, 2, to=-1),
    "more given back than any limit": _changed(BACK, "rests", 0, 2, to=10**9 + 1),
    "a loan without a name": _changed(BACK, "rests", 0, 1, to=None),
    "no list of rests": _changed(BACK, "rests", to={}),
    "two at once": write(GRANT) + write(GRANT),
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"kind"',
    "null": b"null",
    "no kind": b"{}",
    "an unknown kind": b'{"kind":"lease"}',
    "a kind that is a list": b'{"kind":[]}',
    "a kind that is null": b'{"kind":null}',
    "a field too many": _changed(GRANT, "extra", to=1),
    "a field too few": _changed(GRANT, "anew", to=...),
    "a number that is a text": _changed(GRANT, "length", to="5"),
    "a number that is negative": _changed(GRANT, "length", to=-1),
    "a number that is a fraction": _changed(GRANT, "length", to=5.0),
    "a number that is true": _changed(GRANT, "length", to=True),
    "a number that is too great": _changed(GRANT, "length", to=1 << 62),
    "a number of ten thousand digits": write(GRANT).replace(b'"length":5', b'"length":' + b"5" * 10_000),
    "a number that is none": write(GRANT).replace(b'"length":5', b'"length":NaN'),
    "a number without end": write(GRANT).replace(b'"length":5', b'"length":Infinity'),
    "a flag that is a number": _changed(GRANT, "anew", to=1),
    "entries that are a text": _changed(GRANT, "entries", to=""),
    "entries that are an object": _changed(GRANT, "entries", to={}),
    "entries that are null": _changed(GRANT, "entries", to=None),
    "an entry that is a number": _changed(GRANT, "entries", to=[1]),
    "an entry that is a list": _changed(GRANT, "entries", to=[[]]),
    "an entry without its rev": _changed(GRANT, "entries", 0, "rev", to=...),
    "an entry from no time": _changed(GRANT, "entries", 0, "at", to=(1 << 62) - 1),
    "a change that is null": _changed(GRANT, *CHANGE, to=None),
    "a change that is a number": _changed(GRANT, *CHANGE, to=1),
    "a change without a kind": _changed(GRANT, *CHANGE, "kind", to=...),
    "a key number that is a text": _changed(GRANT, *CHANGE, "number", to="1"),
    "a key number that fits nowhere": _changed(GRANT, *CHANGE, "number", to=1 << 63),
    "a key number that is true": _changed(GRANT, *CHANGE, "number", to=True),
    "a key number below nothing": _changed(GRANT, *CHANGE, "number", to=-1),
    "a key id that is a number": _changed(GRANT, *CHANGE, "key_id", to=1),
    "a key id of two lines": _changed(GRANT, *CHANGE, "key_id", to="key_1\nacc_2"),
    "a key id in another script": _changed(GRANT, *CHANGE, "key_id", to="kéy"),
    "a key id of half a character": _changed(GRANT, *CHANGE, "key_id", to="\ud800"),
    "permissions that are numbers": _changed(GRANT, *CHANGE, "permissions", to=[1]),
    "permissions that are null": _changed(GRANT, *CHANGE, "permissions", to=None),
    "a limit that is a number": _changed(GRANT, *CHANGE, "limit", to=5),
    "a limit that is none": _changed(GRANT, *CHANGE, "limit", to="often"),
    "suspended that is a number": _changed(GRANT, *CHANGE, "suspended", to=0),
    "secrets that are null": _changed(GRANT, *CHANGE, "secrets", to=None),
    "a secret that is null": _changed(GRANT, *CHANGE, "secrets", to=[None]),
    "a version that fits nowhere": _changed(GRANT, *SECRET, "version", to=1 << 32),
    "stopped that is null": _changed(GRANT, *SECRET, "stopped", to=None),
    "stopped that is not said": _changed(GRANT, *SECRET, "stopped", to=...),
    "a start that is a text": _changed(GRANT, *SECRET, "starts_at", to="2030-01-01T00:00:00Z"),
    "a start in no year": _changed(GRANT, *SECRET, "starts_at", to=10**18),
    "a public key that is no hex": _changed(GRANT, *SECRET, "public_key", to="xyz"),
    "a public key that is a list": _changed(GRANT, *SECRET, "public_key", to=[1]),
    "a predicate without its account": _changed(
        Push(epoch=1, entries=(entry(1, Predicate()),)), *CHANGE, "account_id", to=...
    ),
    "an instance without a name": _changed(RENEWAL, "instance", to=""),
    "an instance of two words": _changed(RENEWAL, "instance", to="v w"),
    "an instance that is a number": _changed(RENEWAL, "instance", to=1),
    "a name that is too long": _changed(RENEWAL, "name", to="x" * (LONGEST_NAME + 1)),
    "a name of two lines": _changed(RENEWAL, "name", to="a\nb"),
    "a name that rings a bell": _changed(RENEWAL, "name", to="\x07"),
    "a name in another script": _changed(RENEWAL, "name", to="né"),
    "a reason of its own": _changed(Denial(nonce=1, reason=DENIALS[0]), "reason", to="tired"),
    "a reason that is a list": _changed(Denial(nonce=1, reason=DENIALS[0]), "reason", to=[]),
    "uses that are an object": _changed(REPORT, "last", to={}),
    "more uses than one message holds": _changed(REPORT, "last", to=[[1, 1]] * (MOST_USES + 1)),
    "a use without its time": _changed(REPORT, "last", to=[[1]]),
    "a use that is a number": _changed(REPORT, "last", to=[1]),
    "a watched use that is cut": _changed(REPORT, "watched", to=[[1, 2]]),
    "a use in no year": _changed(REPORT, "last", to=[[1, 253_402_300_800_000_000]]),
    "a watched use that was first in no year": _changed(REPORT, "watched", 0, 6, to=10**18),
    "a watched use of a version that fits nowhere": _changed(REPORT, "watched", 0, 1, to=1 << 31),
    "more uses than there can be": _changed(REPORT, "watched", 0, 5, to=10**9),
    "more calls than there can be": _changed(REPORT, "callers", 0, 4, to=10**9),
    "a call in no year": _changed(REPORT, "callers", 0, 5, to=10**18),
    "stale for longer than a day": _changed(RENEWAL, "stale", to=LONGEST_STALE + 1),
    "an address that is a number": _changed(REPORT, "watched", 0, 2, to=1),
    "permissions that are a text": _changed(REPORT, "watched", 0, 3, to="orders:read"),
    "a program that is a list": _changed(REPORT, "callers", 0, 3, to=[]),
    "a program that is a number": _changed(REPORT, "callers", 0, 3, to=1),
    "a program whose name is too long": _changed(REPORT, "callers", 0, 3, to="x" * (LONGEST_AGENT + 1)),
    "lists in lists in lists": b"[" * 1_000_000,
    "objects in objects in objects": b'{"kind":' * 200_000,
}


@pytest.mark.parametrize("story", FORGED)
def test_what_no_peer_writes_is_a_value_error(story: str) -> None:
    """And nothing but that: it is what ends a stream (F2, F6)."""
    assert _try(FORGED[story]) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _try(line: bytes) -> Message | None:
    """Read; a ValueError is None, anything else a finding."""
    try:
        return read(line)
    except ValueError:
        return None


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf{}")
def test_bytes_of_any_kind_raise_nothing_but_value_error(line: bytes) -> None:
    assert _try(line) is None


@given(messages, st.data())
def test_f2_a_garbled_message_is_refused_or_is_a_message(sent: Message, data: st.DataObject) -> None:
    """One value replaced, at any depth: what is read can be written again, and packed as a holder packs it."""
    plain = json.loads(write(sent))
    at, step = plain, data.draw(st.sampled_from(sorted(plain)))
    while isinstance(at[step], list | dict) and at[step] and data.draw(st.booleans()):
        at = at[step]
        step = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else list(range(len(at)))))
    at[step] = data.draw(json_values)
    heard = _try(json.dumps(plain).encode())
    if heard is not None:
        assert read(write(heard)) == heard
        _follow(heard)


@given(messages, st.integers(0, 10_000))
def test_f2_a_truncated_message_is_refused(sent: Message, at: int) -> None:
    line = write(sent).rstrip(b"\n")
    assert _try(line[: at % len(line)]) is None


def _follow(heard: Message) -> None:
    """What a holder does with it, in whatever state: no message ends its thread."""
    holder = Holder(Verifier(), instance="v", terms=Terms())
    holder.renewal(10, wall=10)
    if isinstance(heard, Grant):
        holder.granted(heard, 20)
        assert holder.deadline <= 10 + min(heard.length, holder.terms.length)
    elif isinstance(heard, Push):
        holder.pushed(heard)
        assert holder.deadline == 0


@given(st.lists(messages, max_size=8), st.lists(st.integers(0, 7), max_size=24))
def test_f2_lines_forged_replayed_and_reordered_never_lengthen_a_lease(sent: list[Message], order: list[int]) -> None:
    """A holder that has asked for nothing new holds what it held, or nothing."""
    holder = Holder(Verifier(), instance="v", terms=Terms())
    asked = holder.renewal(0, wall=0)
    honest = Grant(nonce=asked.nonce, length=1_000, epoch=1, rev=1, entries=(), time=NOW, at=NOW, anew=True)
    assert holder.granted(honest, 0)
    lines = [write(one) for one in (honest, *sent)]
    for at in order:
        before = holder.deadline
        match read(lines[at % len(lines)]):
            case Grant() as one:
                holder.granted(one, 1)
                assert holder.deadline == 0
                assert holder.alarms, "and somebody is told"
            case Push() as one:
                holder.pushed(one)
            case Denial() as one:
                holder.denied(one)
        assert holder.deadline <= before


# -- reports


def test_r33_what_was_counted_goes_in_messages_of_bounded_length() -> None:
    count = 2 * MOST_USES + 1
    uses = Uses(dict.fromkeys(range(count), NOW), {Origin(1, 1, None, (), ""): Tally(1, NOW, NOW)})
    callers = [Callers(at, None, (), "", 1, NOW) for at in range(MOST_USES + 1)]
    told = list(reports(uses, callers))
    assert [(len(one.last), len(one.watched), len(one.callers)) for one in told] == [
        (MOST_USES, 1, MOST_USES),
        (MOST_USES, 0, 1),
        (1, 0, 0),
    ]
    assert [read(write(one)) for one in told] == told
    assert dict(pair for one in told for pair in one.last) == uses.last


def test_nothing_counted_nothing_told() -> None:
    assert list(reports(Uses({}, {}), ())) == []


def test_each_field_of_each_message_has_its_reader() -> None:
    """A field without one would be a KeyError for every peer."""
    for kind in message._KINDS.values():
        assert {one.name for one in fields(kind)} <= message._READ.keys(), kind


def test_f15_what_is_given_back_goes_in_messages_of_bounded_length() -> None:
    rests = [Rest(key_id=f"key_{number}", loan="loan_1", requests=1) for number in range(MOST_USES + 1)]
    sent = list(give_backs(rests))
    assert [len(one.rests) for one in sent] == [MOST_USES, 1]
    assert [rest for one in sent for rest in one.rests] == rests
    assert list(give_backs([])) == []
