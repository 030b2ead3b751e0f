"""Calling webhooks: to the very address that was checked, following nothing, for a short time (pitfall 25)."""

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Final

from keyturn import __version__
from keyturn.core import webhook as webhooks
from keyturn.core.delivery import Attempt, Result
from keyturn.core.instant import Instant, to_micros
from keyturn.core.secret import SecretText
from keyturn.core.webhook import Target
from keyturn.outside import clock
from keyturn.outside.cut_off import CutOff
from keyturn.ports.sender import Consignment

_ANSWER_SECONDS: Final = 10
_ALL_SECONDS: Final = 15
_MOST_ADDRESSES: Final = 3
_SECOND: Final = 1_000_000


class NotAllowed(OSError):  # noqa: N818  # a "no" on its way out
    """The name led to an address that no webhook may reach."""


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses behind a name, as the system has them.  Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSender:
    """`ports.sender.Sender` for webhooks."""

    to_loopback: bool = False
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    resolve: Callable[[str, int], Sequence[str]] = resolve
    now: Callable[[], Instant] = clock.now
    """The receiver compares the time with its own clock, so this is the world's and not the authority's."""

    def send(self, consignment: Consignment) -> Attempt:
        """Call it once.  Any 2xx is "taken"; a redirect is not followed, so it is a "not now" like any other answer."""
        parcel, webhook = consignment.parcel, consignment.webhook
        assert webhook is not None  # noqa: S101  # one without its webhook is never taken in hand
        assert parcel.notice is not None  # noqa: S101  # letters go to people
        body = webhooks.payload(parcel.notice, at=parcel.at)
        try:
            target = webhooks.parse_url(webhook.url, to_loopback=self.to_loopback)
        except ValueError:
            return Attempt(result=Result.UNREACHABLE, said="its address is not allowed any more")
        headers = self._headers(target, parcel.delivery.id, body, consignment.signed_with)
        try:
            status = self._post(target, headers, body)
        except (OSError, HTTPException) as error:
            return Attempt(result=Result.UNREACHABLE, said=type(error).__name__)
        if 200 <= status <= 299:
            return Attempt(result=Result.TAKEN, said=str(status))
        result = Result.REFUSED if str(status) == webhooks.GONE else Result.DEFERRED
        return Attempt(result=result, said=str(status))

    def _headers(self, target: Target, message_id: str, body: bytes, secrets: tuple[SecretText, ...]) -> dict[str, str]:
        timestamp = to_micros(self.now()) // _SECOND
        keys = tuple(webhooks.secret_bytes(one) for one in secrets)
        return {
            "Host": target.authority,
            "User-Agent": f"keyturn/{__version__}",
            "Content-Type": "application/json",
            "Connection": "close",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": webhooks.signature(keys, message_id=message_id, timestamp=timestamp, body=body),
        }

    def _post(self, target: Target, headers: dict[str, str], body: bytes) -> int:
        with CutOff(_ALL_SECONDS) as cut_off, closing(HTTPConnection(target.host, target.port)) as connection:
            connection.sock = self._connect(target, cut_off)
            connection.request("POST", target.path, body, headers)
            # Of the answer only its status is read: a body may be as long as it likes.
            return connection.getresponse().status

    def _connect(self, target: Target, cut_off: CutOff) -> socket.socket:
        """A line to an address that was looked at: the name is not asked a second time."""
        line = self._reach(target)
        cut_off.watch(line)
        if target.scheme == "http":
            return line
        try:
            return self.context.wrap_socket(line, server_hostname=target.host)
        except BaseException:
            line.close()
            raise

    def _reach(self, target: Target) -> socket.socket:
        addresses = self.resolve(target.host, target.port)
        if not addresses or not all(webhooks.may_reach(target, one, to_loopback=self.to_loopback) for one in addresses):
            # One bad address among good ones is a trick as well: the next look-up may answer in another order.
            raise NotAllowed
        *others, last = addresses[:_MOST_ADDRESSES]
        for address in others:
            with suppress(OSError):
                return socket.create_connection((address, target.port), _ANSWER_SECONDS)
        return socket.create_connection((last, target.port), _ANSWER_SECONDS)
