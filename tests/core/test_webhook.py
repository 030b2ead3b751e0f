from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Oracle

from keyturn.core.delivery import Attempt, Result
from keyturn.core.instant import Instant
from keyturn.core.notice import TEST_KIND, Notice
from keyturn.core.outward import is_loopback, is_public, unwrapped
from keyturn.core.webhook import (
    BOTH_SIGN_FOR,
    FAILS_FOR,
    MOST_EVENTS,
    MOST_SIGNING,
    Target,
    Webhook,
    after,
    may_reach,
    parse_events,
    parse_url,
    payload,
    rotated,
    secret_bytes,
    secret_text,
    signature,
    signing_names,
    wants,
)

T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))
HOOK = Webhook(id="whk_1", account_id="acc_1", url="https://hooks.example.com/x", events=("*",), made_at=T0)


def at(span: timedelta) -> Instant:
    return Instant(T0 + span)


_NAT64 = ip_network("64:ff9b::/96")


# Where it may call

NOBODY_S = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.0.170",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:0:1::1",
    "64:ff9b::7f00:1",
    "2001:db8::5efe:7f00:1",
    "2a00:1450:4001:81b::5efe:10.0.0.1",
    "2a00:1450:4001:81b:200:5efe:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", NOBODY_S)
def test_pitfall_25_no_address_of_somebody_s_own_is_reached(address: str) -> None:
    assert not is_public(address)
    target = parse_url("https://hooks.example.com/", to_loopback=False)
    assert not may_reach(target, address, to_loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached_over_https_only(address: str) -> None:
    assert is_public(address)
    target = Target(scheme="https", host="hooks.example.com", port=443, path="/")
    assert may_reach(target, address, to_loopback=False)
    assert not may_reach(replace(target, scheme="http"), address, to_loopback=True)


def test_this_machine_is_reached_where_that_was_asked_for() -> None:
    target = Target(scheme="http", host="localhost", port=80, path="/")
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        assert is_loopback(address)
        assert may_reach(target, address, to_loopback=True)
        assert not may_reach(target, address, to_loopback=False)
    assert not may_reach(target, "10.0.0.1", to_loopback=True)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "nobody", "", "1.2.3.4/24", "٨.8.8.8"])
def test_pitfall_12_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unwrapped(text)


@given(number=st.integers(0, 2**32 - 1))
def test_pitfall_25_nothing_the_library_holds_for_private_is_public_in_ipv4(number: int) -> None:
    address = IPv4Address(number)
    if not address.is_global or address.is_multicast:
        assert not is_public(str(address))
    for wrapped in (f"::ffff:{address}", str(IPv6Address((0x64FF9B << 96) + number))):
        assert is_public(wrapped) == is_public(str(address))


@given(number=st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, (0x2010 << 112) - 1))
def test_pitfall_25_nor_in_ipv6(number: int) -> None:
    address = IPv6Address(number)
    wrapped = address.ipv4_mapped is not None or address in _NAT64
    if not wrapped and (not address.is_global or address.is_multicast or address.sixtofour or address.teredo):
        assert not is_public(str(address))


def test_an_address_is_read_once_into_its_parts() -> None:
    stories = {
        "https://hooks.example.com": ("https", "hooks.example.com", 443, "/", "hooks.example.com"),
        "https://hooks.example.com/a?b=c@d": ("https", "hooks.example.com", 443, "/a?b=c@d", "hooks.example.com"),
        "https://hooks.example.com:8443/a": ("https", "hooks.example.com", 8443, "/a", "hooks.example.com:8443"),
        "https://8.8.8.8/a": ("https", "8.8.8.8", 443, "/a", "8.8.8.8"),
        "https://[2606:4700::1]:444/a": ("https", "2606:4700::1", 444, "/a", "[2606:4700::1]:444"),
    }
    for text, (scheme, host, port, path, authority) in stories.items():
        target = parse_url(text, to_loopback=False)
        assert (target.scheme, target.host, target.port, target.path) == (scheme, host, port, path), text
        assert target.authority == authority, text


REFUSED = {
    "plain HTTP": "http://hooks.example.com/",
    "another scheme": "ftp://hooks.example.com/",
    "a user": "https://user@hooks.example.com/",
    "a user that looks like a host": "https://hooks.example.com@127.0.0.1/",
    "a fragment": "https://hooks.example.com/#x",
    "a backslash for a slash": "https://hooks.example.com\\@127.0.0.1/",
    "upper case, which two readers fold in two ways": "https://HOOKS.example.com/",
    "another script's digits": "https://①②⑦.⓪.⓪.①/",
    "a space": "https://hooks.example.com/a b",
    "a line's end": "https://hooks.example.com/\r\nX: y",
    "nothing": "",
    "a very long one": "https://hooks.example.com/" + "a" * 1000,
    "this machine": "https://localhost/",
    "a name nearby": "https://intranet/",
    "a loopback address": "https://127.0.0.1/",
    "the same in one number": "https://2130706433/",
    "the same in fewer": "https://127.1/",
    "the same in octal": "https://0177.0.0.1/",
    "the same in hexadecimal": "https://0x7f000001/",
    "the same in parts": "https://0x7f.0.0.0x1/",
    "the same mapped": "https://[::ffff:127.0.0.1]/",
    "the metadata service": "https://169.254.169.254/latest",
    "its like in IPv6": "https://[fd00:ec2::254]/",
    "a zone": "https://[fe80::1%25eth0]/",
    "a port that is none": "https://hooks.example.com:0/",
    "a port beyond all": "https://hooks.example.com:65536/",
    "no number": "https://[::::]/",
}


@pytest.mark.parametrize("story", REFUSED)
def test_pitfall_25_an_address_in_an_odd_notation_is_refused(story: str) -> None:
    with pytest.raises(ValueError, match=r"\w \w"):
        parse_url(REFUSED[story], to_loopback=False)


def test_this_machine_can_be_named_where_that_was_asked_for() -> None:
    for text in ("http://127.0.0.1:8080/x", "http://localhost:1/", "https://localhost/", "http://[::1]/"):
        parse_url(text, to_loopback=True)
    for text in ("http://hooks.example.com/", "http://10.0.0.1/", "https://10.0.0.1/", "http://8.8.8.8/"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_url(text, to_loopback=True)


# What it is told


def test_a_webhook_is_told_of_what_it_asked_for() -> None:
    stories = {
        ("*",): (True, True, True),
        ("reset.minted",): (True, False, False),
        ("reset.*",): (True, True, False),
        ("key.*", "reset.asked"): (False, True, True),
    }
    for events, told in stories.items():
        one = replace(HOOK, events=parse_events(list(events)))
        assert tuple(wants(one, kind) for kind in ("reset.minted", "reset.asked", "key.created")) == told, events
        assert wants(one, TEST_KIND)


def test_kinds_of_events_are_checked() -> None:
    assert parse_events(["a.b", "a.b", "*"]) == ("a.b", "*")
    for bad in ([], ["*"] * (MOST_EVENTS + 1), ["reset"], ["reset.minted.x"], ["Reset.*"], ["*.*"], ["reset.*\n"]):
        with pytest.raises(ValueError, match="kind"):
            parse_events(bad)


def test_the_payload_is_the_same_every_time_and_names_what_happened() -> None:
    notice = Notice(kind="key.created", account_id="acc_1", owner_id="", key_id="key_1", detail={"b": "2", "a": "取"})
    assert payload(notice, at=T0) == (
        b'{"data":{"account_id":"acc_1","actor_id":null,"address":null,"detail":{"a":"\\u53d6","b":"2"},'
        b'"key_id":"key_1","owner_id":null},"timestamp":"2030-01-01T00:00:00Z","type":"key.created"}'
    )


@given(raw=st.binary(min_size=32, max_size=32), body=st.text(), moment=st.datetimes(datetime(2020, 1, 1)))  # noqa: DTZ001  # the oracle takes it for UTC
def test_a_signature_is_the_one_of_the_standard(raw: bytes, body: str, moment: datetime) -> None:
    text = secret_text(raw)
    assert text.reveal == "whsec_" + b64encode(raw).decode()
    assert secret_bytes(text) == raw
    body = body.encode("utf-8", "replace").decode()
    seconds = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())
    ours = signature((raw, b"old"), message_id="dlv_1", timestamp=seconds, body=body.encode())
    first, second = ours.split(" ")
    oracle = Oracle(text.reveal).sign("dlv_1", datetime.fromtimestamp(seconds, UTC), body)
    assert first == oracle
    assert second.startswith("v1,")
    assert second != first


# How it lives


def test_after_a_rotation_both_secrets_sign_for_a_day() -> None:
    assert signing_names(HOOK, T0) == ("whk_1 1",)
    once = rotated(HOOK, now=T0)
    assert signing_names(once, T0) == ("whk_1 2", "whk_1 1")
    assert signing_names(once, at(BOTH_SIGN_FOR)) == ("whk_1 2",)
    again = rotated(once, now=at(timedelta(hours=1)))
    assert signing_names(again, at(BOTH_SIGN_FOR)) == ("whk_1 3", "whk_1 2", "whk_1 1"), "a lost answer costs nothing"
    later = rotated(once, now=at(2 * BOTH_SIGN_FOR))
    assert signing_names(later, at(2 * BOTH_SIGN_FOR)) == ("whk_1 3", "whk_1 2")


def test_however_often_it_is_rotated_few_secrets_sign() -> None:
    one = HOOK
    for _ in range(20):
        one = rotated(one, now=T0)
        assert len(signing_names(one, T0)) <= MOST_SIGNING
    assert signing_names(one, T0)[-1] == f"whk_1 {one.version - MOST_SIGNING + 1}"


def test_a_webhook_that_fails_for_five_days_is_suspended() -> None:
    failed, taken = Attempt(result=Result.UNREACHABLE), Attempt(result=Result.TAKEN)
    first = after(HOOK, failed, now=T0)
    assert (first.failing_since, first.suspended_at) == (T0, None)
    assert after(first, taken, now=at(timedelta(1))) == HOOK
    almost = after(first, failed, now=at(FAILS_FOR - timedelta(seconds=1)))
    assert almost == first
    assert after(first, failed, now=at(FAILS_FOR)).suspended_at == at(FAILS_FOR)


def test_a_receiver_that_says_gone_is_called_no_more() -> None:
    assert after(HOOK, Attempt(result=Result.REFUSED, said="410"), now=T0).suspended_at == T0


def test_an_address_in_every_form_is_one_address() -> None:
    assert unwrapped("::ffff:8.8.8.8") == unwrapped("64:ff9b::808:808") == ip_address("8.8.8.8")
