"""`keyturn receipt`, and what a person is told of a reset or a receipt, with the exit code that follows from it."""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from keyturn.cli.output import FAILED, OK, PENDING, UNCONFIRMED, Failure, Output, json_option, moment
from keyturn.cli.secret import STDIN, receiving
from keyturn.outside import clock

Json = dict[str, Any]


@click.group()
def command() -> None:
    """Check the signed receipts of stops."""


@command.command()
@click.argument("file", metavar="FILE")
@click.option("--key", "note_key", required=True, metavar="KEY", help="Whose signature it is: name+id+base64.")
@json_option
def check(*, file: str, note_key: str, as_json: bool) -> int | None:
    """Check that the deployment with KEY has signed the receipt in FILE (- for standard input), and print it.

    FILE holds the `note` of a receipt.  KEY is the receipt key that `keyturn fleet` shows; keep it where nobody who
    could forge a receipt can change it.  No server is asked.  Exits 1 where the signature is not of this key.
    """
    from keyturn.core.note import key_from_text, read
    from keyturn.core.receipt import HEADING
    from keyturn.outside.ed25519 import matches

    out = Output(as_json=as_json)
    try:
        key = key_from_text(note_key)
    except ValueError as error:
        raise click.UsageError(f"--key: {error}") from None
    try:
        note = sys.stdin.read() if file == STDIN else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Failure(f"{file} cannot be read: {reason}") from None
    try:
        text = read(note, key, lambda signature, message: matches(key.public_key, signature=signature, message=message))
    except ValueError as error:
        raise Failure(f"{file}: {error}", hint="Is it the whole note, and the key of that deployment?") from None
    heading, _, rest = text.partition("\n")
    if heading != HEADING:
        raise Failure(f"{file} is signed, and is no receipt")
    lines = [line.partition(" ")[::2] for line in rest.splitlines()]
    if out.as_json:
        out.document({"signed_by": key.name, **dict(lines)})
    else:
        out.facts([("signed by", key.name), *lines])
    return None


def tell_reset(reset: Json, out: Output) -> None:
    """The consequences of a reset, from the answer and nowhere else."""
    facts: list[tuple[str, object]] = [
        ("reset", reset["id"]),
        ("key", reset["key_id"]),
        ("reason", reset["reason"]),
        ("stage", reset["stage"]),
    ]
    if reset.get("ordered_by") and not reset.get("minted_at"):
        claimed = f", claimed {moment(reset['claimed_at'])}" if reset.get("claimed_at") else ", not claimed yet"
        facts.append(("ordered", f"by {reset['ordered_by']}{claimed}, until {moment(reset['lapses_at'])}"))
    if reset.get("missing"):
        facts.append(("still missing", " or ".join(reset["missing"])))
    elif reset["stage"] == "proven":
        facts.append(("still missing", f"the secret: keyturn reset mint {reset['id']}"))
    if reset.get("new_version"):
        facts.append(("version", f"{reset['old_version']} is handed over to {reset['new_version']}"))
    if reset["stage"] != "ended":
        facts += [
            ("new secret", _date(reset.get("new_starts_at"), "accepted since", "accepted from")),
            ("old secret", _date(reset.get("old_stops_at"), "refused since", "accepted until")),
        ]
    if gap := reset.get("gap"):
        facts.append(("gap", f"no secret is accepted from {moment(gap['since'])} to {moment(gap['until'])}"))
    if reset.get("ended_at"):
        facts.append(("ended", f"{moment(reset['ended_at'])} ({reset.get('end_reason')})"))
    facts += _receipt_facts(reset.get("receipt"))
    out.facts(facts, to_stderr=True)
    for use in reset.get("used_by") or ():
        seen = f"{use.get('address') or 'unknown address'}, {use.get('user_agent') or 'no user agent'}"
        out.say(f"still used by {seen}: {use['count']} times, last {moment(use['last_seen'])}")


def receive_reset(step: Callable[[], Json], out: Output, *, out_file: str | None) -> int:
    """Take a step that may mint, tell what it brought about, hand the new secret over; answers the exit code."""
    with receiving(out_file, out) as receiver:
        reset = step()
        if not out.as_json:
            tell_reset(reset, out)
        delivered = receiver.deliver(reset, again=f"keyturn key reset {reset['key_id']} --reason lost")
    if out.as_json:
        out.document(reset)
    return FAILED if reset.get("secret_shown") and not delivered else exit_code(reset)


def tell_preview(found: Json, out: Output) -> None:
    """What a reset would do, and who would notice."""
    cool_down, grace = found["cool_down"], found["grace"]
    facts: list[tuple[str, object]] = [
        ("key", found["key_id"]),
        ("reason", found["reason"]),
        ("order", found["order"].replace("_", " ")),
        ("to be proved", " or ".join(found["missing"])),
        ("cool-down", f"{cool_down['value']} ({cool_down['policy']})"),
        ("grace", f"{grace['value']} ({grace['policy']})"),
        ("new secret", f"would be accepted from {moment(found['new_starts_at'])}"),
        ("old secret", f"would be accepted until {moment(found['old_stops_at'])}"),
    ]
    if gap := found["gap"]:
        until = moment(gap["until"]) if gap["until"] else "the proofs are shown"
        facts.append(("gap", f"no secret would be accepted from {moment(gap['since'])} until {until}"))
    facts.append(("untouched", [one.replace("_", " ") for one in found["untouched"]]))
    out.facts(facts)
    for use in found["called_by"]:
        who = f"{use['address'] or 'unknown address'}, {use['user_agent'] or 'no user agent'}"
        out.line(f"used by {who}: {use['count']} times within a day, last {moment(use['last_seen'])}")


def tell_receipt(receipt: Json | None, out: Output) -> None:
    """What was stopped, and whether every verifier has confirmed it."""
    if receipt:
        out.facts(_receipt_facts(receipt), to_stderr=True)


def exit_code(answer: Json) -> int:
    """5 where a stop is not confirmed, 3 where anything is missing or a cool-down runs, else 0."""
    receipt = answer.get("receipt")
    if receipt and not receipt["confirmed"]:
        return UNCONFIRMED
    if answer.get("missing") or answer.get("stage") == "proven" or _is_ahead(answer.get("new_starts_at")):
        return PENDING
    return OK


def _receipt_facts(receipt: Json | None) -> list[tuple[str, object]]:
    if not receipt:
        return []
    confirmed = f"yes, after {receipt['waited_ms']} ms" if receipt["confirmed"] else f"no: {receipt.get('reason')}"
    return [("confirmed everywhere", confirmed), ("feed revision", receipt["rev"])]


def _date(text: str | None, past: str, ahead: str) -> str:
    if not text:
        return f"{ahead}: no date set"
    return f"{ahead if _is_ahead(text) else past} {moment(text)}"


def _is_ahead(text: str | None) -> bool:
    # The server's dates against this machine's clock: close enough for a sentence, and nothing is decided by it.
    return text is not None and datetime.fromisoformat(text) > clock.now()
