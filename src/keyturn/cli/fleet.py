"""`keyturn fleet`: nodes, verifiers, and whom a stop waits for."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from keyturn.cli.connection import connected
from keyturn.cli.output import PENDING, Output, shown

if TYPE_CHECKING:
    from keyturn.sdk.client import Client

Json = dict[str, Any]
_SHOW: Final = "show"
_LOOK_EVERY: Final = 0.2


class _ShowsFirst(click.Group):
    """A group whose first command is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


class _Span(click.ParamType[int]):
    """Whole milliseconds: `500ms` or `5s`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  # as click has it
        found = re.fullmatch(r"([0-9]{1,6})(ms|s)", str(value), re.ASCII)
        if found is None:
            self.fail("write whole seconds or milliseconds, such as 5s or 500ms", param, ctx)
        return int(found[1]) * (1 if found[2] == "ms" else 1000)


@click.group(cls=_ShowsFirst)
def command() -> None:
    """Look at nodes and verifiers, and at whom a stop waits for.

    Without a command it shows them.
    """


@command.command(_SHOW)
@connected
def show(*, api: "Client", out: Output) -> None:
    """Show who is attached, how far each has come, and what is waited for.

    A lease is how long a node or verifier may answer from memory; LAG is how many changes it has not acknowledged yet.
    What is told of other nodes than the one that answers is from their last renewal.
    """
    fleet = api.get_fleet()
    if out.as_json:
        out.document(fleet)
        return
    out.facts(
        (
            ("epoch", fleet["epoch"]),
            ("revision", fleet["rev"]),
            *_terms(fleet["terms"]),
            ("confirms", "yes" if fleet["confirms"] else f"no: {fleet['reason']}"),
            ("receipt key", fleet["receipt_key"]),
        )
    )
    out.line("")
    out.table(("NODE OR VERIFIER", "NAME", "STATE", "LEASE LEFT", "APPLIED", "ACKNOWLEDGED", "LAG"), _rows(fleet))
    if fleet["fences"]:
        out.line("")
        out.table(("WAITING FOR REVISION", "ACKNOWLEDGED", "LAST LEASE ENDS IN", "WAITING FOR"), _fences(fleet))


@command.command()
@click.argument("rev", metavar="REVISION", type=click.IntRange(min=1))
@click.option("--watch", is_flag=True, help="Look again until nobody is waited for.")
@connected
def fence(*, api: "Client", out: Output, rev: int, watch: bool) -> int | None:
    """Show whether everybody decides by REVISION, the `rev` of a receipt.

    Exits 3 while somebody is waited for, or where it is not final in the end.
    """
    found = api.get_fence(rev)
    said = ""
    while watch and found["last_lease_ends_in_ms"]:
        if not out.as_json and (line := _progress(found)) != said:
            out.say(line)
            said = line
        time.sleep(_LOOK_EVERY)
        found = api.get_fence(rev)
    if out.as_json:
        out.document(found)
    else:
        out.line(_progress(found))
        if found["waiting_for"]:
            out.say(f"waiting for {shown(found['waiting_for'])}")
    return None if found["final"] else PENDING


@command.command()
@click.option("--lease", metavar="TIME", type=_Span(), help="How long a lease lasts, 200ms to 20s.")
@click.option(
    "--margin",
    metavar="TIME",
    type=_Span(),
    help="By how much two clocks may part within it: a thousandth to a fourth of it; 2.5s at most of 20s.",
)
@connected
def terms(*, api: "Client", out: Output, lease: int | None, margin: int | None) -> None:
    """Show for how long leases are given, or give them for longer or shorter from now on.

    A longer lease bridges a longer outage of the database; a stop waits that much longer for a verifier that is silent.
    Where only the lease is named, the margin stays the same part of it.  TIME is whole: 5s, 500ms.
    """
    found = api.get_fleet()["terms"]
    if lease is not None or margin is not None:
        lease = found["lease_ms"] if lease is None else lease
        margin = -(-lease * found["margin_ms"] // found["lease_ms"]) if margin is None else margin
        found = api.set_fleet_terms(lease_ms=lease, margin_ms=margin)
    if out.as_json:
        out.document(found)
        return
    out.facts(_terms(found))


@command.command("raise-epoch")
@click.option("--reason", required=True, help="Why, for the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def raise_epoch(*, api: "Client", out: Output, reason: str, yes: bool) -> None:
    """Have every node and verifier drop what it knows and begin anew: after a restore, or a failover that lost commits.

    Until the last lease from before is over, no reset is confirmed.
    """
    fleet = api.get_fleet()
    epoch, wait = fleet["epoch"], _span(fleet["terms"]["fence_ms"])
    question = f"End epoch {epoch}? Everybody begins anew, and for {wait} no reset is confirmed."
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise click.UsageError("everybody will begin anew; say --yes")
        click.confirm(question, abort=True, err=True)
    raised = api.raise_epoch(epoch, reason=reason)
    if out.as_json:
        out.document(raised)
        return
    out.line(f"epoch {raised['epoch']}")
    out.say(f"no reset is confirmed for {_span(raised['nothing_confirmed_for_ms'])}")


def _terms(terms: Json) -> Sequence[tuple[str, str]]:
    return (
        ("leases", f"{_span(terms['lease_ms'])}, margin {_span(terms['margin_ms'])}"),
        ("a stop waits at most", _span(terms["fence_ms"])),
    )


def _progress(found: Json) -> str:
    counted = f"{found['acknowledged']} of {found['of']} acknowledged"
    if found["last_lease_ends_in_ms"]:
        return f"{counted}; the last lease ends in {_span(found['last_lease_ends_in_ms'])}"
    if found["waited_out"]:
        counted += f", {len(found['waited_out'])} waited out"
    return f"{counted}; final" if found["final"] else f"{counted}; not final: {found['reason']}"


def _rows(fleet: Json) -> Iterator[tuple[object, ...]]:
    for node in fleet["nodes"]:
        here = " (answers)" if node["instance"] == fleet["answered_by"] else ""
        yield _row(node, node["instance"] + here)
        for one in node["verifiers"]:
            yield _row(one, f"  {one['instance']}")


def _row(one: Json, who: str) -> tuple[object, ...]:
    left = _span(one["lease_ends_in_ms"]) if one["lease_ends_in_ms"] else None
    return who, one["name"], one["footing"], left, one["applied_rev"], one["acknowledged_rev"], one["lag"]


def _fences(fleet: Json) -> Iterator[tuple[object, ...]]:
    for one in fleet["fences"]:
        counted = f"{one['acknowledged']} of {one['of']}"
        yield one["rev"], counted, _span(one["last_lease_ends_in_ms"]), one["waiting_for"]


def _span(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
