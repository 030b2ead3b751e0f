"""The scenarios: each is small, because it lets only some things happen; together they let everything happen.

`quick` runs in `make test`, `thorough` in `make test-full`.  With two verifiers the quick bounds leave out what can be
shown to leave no violation out (`Bounds`); the thorough ones put as much of it back as ends within minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.fleet.model.bounds import Bounds, Terms
from tests.fleet.model.rules import RULES, Rules
from tests.fleet.model.state import State
from tests.fleet.model.world import Fleet, Sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    bounds: Bounds
    more_than: int  # states; else it has gone nowhere
    at_most: int = 200_000  # states; else its bounds have grown
    marks: tuple[str, ...] = ()  # words of steps that must be met

    def world(self, rules: Rules = RULES) -> Fleet:
        marks = (*ALWAYS, *self.marks)
        signs: dict[str, Sign] = {mark: _mark(mark) for mark in marks}
        signs["a verifier answers again after a confirmed reset"] = _answers_again
        return Fleet(Terms(bounds=self.bounds, rules=rules), signs)


ALWAYS = ("returns confirmed (acknowledged)", "returns confirmed (waited out)")


def _mark(words: str) -> Sign:
    return lambda label, _: words in label


def _answers_again(_: str, state: State) -> bool:
    return bool(state.confirmed) and any(verifier.lease.running for verifier in state.verifiers)


def _two(bounds: Bounds) -> Bounds:
    return replace(bounds, verifiers=2, drifts=False, delays=False, pauses=False)


CLOCKS = Bounds()
TWO_RESETS = Bounds(changes=2)
TWO_REQUESTS = Bounds(asks=2)
REMOVAL = Bounds(changes=2, waits=2, drifts=False)
SUDDEN = Bounds(restarts=True, jumps=True)
FILLS = Bounds(fills=True, replica=True)
CHECKS = Bounds(checks=True)
FAILOVER = Bounds(failover=True, replica=True, restarts=True)
RESTORE = Bounds(changes=2, restore=True, restarts=True, drifts=False, delays=False)
STALLED = replace(RESTORE, restarts=False, stalls=True, pauses=False)
NODE = Bounds(nodes=1, drifts=False, delays=False)
NODE_CLOCKS = Bounds(nodes=1, delays=False, pauses=False)
NODE_MESSAGES = Bounds(nodes=1, drifts=False)
NODE_ENDS = Bounds(nodes=1, drifts=False, delays=False, deaths=True, leaving=True)
NODE_SUDDEN = replace(NODE, jumps=True, restarts=True)
TWO_NODES = Bounds(nodes=2, drifts=False, delays=False, pauses=False)

REMOVED = ("removes the row",)
JUMPED = ("sees its wall clock jump", "database's wall clock", "dies and starts again")
FILLED = ("stores the fill", "drops the fill", "evicts")
CHECKED = ("looks the key up and answers", "reads its deadline and refuses")
FAILED_OVER = ("takes over", "the replica replays")
RESTORED = ("is restored", "epoch is raised", "joins anew")
WOKEN = ("wakes and scans", "wakes to another epoch", "does not find its entry", "somebody who knows of no restore")
GRANTED = ("records verifier", "reads its deadline", "answers verifier", "looks at its records", "may acknowledge")
REFUSED = ("refuses verifier",)
ENDED = ("dies and starts again", "leaves, without a live grant")

QUICK: Mapping[str, Scenario] = {
    "clocks, one verifier": Scenario(bounds=CLOCKS, more_than=600),
    "clocks, two verifiers": Scenario(bounds=replace(CLOCKS, verifiers=2, delays=False, pauses=False), more_than=1_000),
    "two resets, one verifier": Scenario(bounds=TWO_RESETS, more_than=10_000, marks=REMOVED),
    "two resets, two verifiers": Scenario(bounds=_two(TWO_RESETS), more_than=1_500, marks=REMOVED),
    "two requests, one verifier": Scenario(bounds=TWO_REQUESTS, more_than=8_000),
    "removal, one verifier": Scenario(bounds=REMOVAL, more_than=20_000, marks=REMOVED),
    "removal, two verifiers": Scenario(bounds=_two(REMOVAL), more_than=20_000, marks=REMOVED),
    "sudden ends and jumps, one verifier": Scenario(bounds=SUDDEN, more_than=600, marks=JUMPED),
    "sudden ends and jumps, two verifiers": Scenario(
        bounds=replace(_two(SUDDEN), drifts=True), more_than=1_000, marks=JUMPED
    ),
    "fills, one verifier": Scenario(bounds=replace(FILLS, drifts=False), more_than=6_000, marks=FILLED),
    "fills, two verifiers": Scenario(bounds=replace(_two(FILLS), lease=1), more_than=11_000, marks=FILLED),
    "verifications, one verifier": Scenario(bounds=CHECKS, more_than=15_000, marks=CHECKED),
    "verifications, two verifiers": Scenario(bounds=_two(CHECKS), more_than=15_000, marks=CHECKED),
    "failover, one verifier": Scenario(bounds=FAILOVER, more_than=1_000, marks=FAILED_OVER),
    "failover, two verifiers": Scenario(bounds=_two(FAILOVER), more_than=600, marks=FAILED_OVER),
    "restored backup, one verifier": Scenario(bounds=RESTORE, more_than=20_000, marks=RESTORED),
    "restored backup, two verifiers": Scenario(
        bounds=replace(_two(RESTORE), changes=1), more_than=10_000, marks=RESTORED
    ),
    "reset that stands still, one verifier": Scenario(bounds=STALLED, more_than=30_000, marks=RESTORED + WOKEN),
    "node, one verifier": Scenario(bounds=NODE, more_than=4_000, marks=GRANTED + REFUSED),
    "node, two verifiers": Scenario(bounds=_two(NODE), more_than=1_000, marks=GRANTED + REFUSED),
    "node with every drift, one verifier": Scenario(bounds=NODE_CLOCKS, more_than=1_500, marks=GRANTED),
    "node with late messages, one verifier": Scenario(bounds=NODE_MESSAGES, more_than=30_000, marks=GRANTED + REFUSED),
    "node that ends, one verifier": Scenario(bounds=NODE_ENDS, more_than=15_000, marks=GRANTED + ENDED),
    "node that ends, two verifiers": Scenario(bounds=_two(NODE_ENDS), more_than=4_000, marks=GRANTED + ENDED),
    "node, sudden ends and jumps, two verifiers": Scenario(bounds=_two(NODE_SUDDEN), more_than=3_000, marks=JUMPED),
    "two nodes, one verifier": Scenario(bounds=TWO_NODES, more_than=15_000, marks=("of node 2",)),
}


THOROUGH: Mapping[str, Scenario] = {
    "clocks with late messages, two verifiers": Scenario(bounds=replace(CLOCKS, verifiers=2), more_than=180_000),
    "clocks with a wide margin, one verifier": Scenario(bounds=replace(CLOCKS, lease=4, error=2), more_than=10_000),
    "reset that stands still, with pauses, one verifier": Scenario(
        bounds=replace(STALLED, pauses=True), more_than=80_000, marks=RESTORED + WOKEN
    ),
    "reset that stands still, two verifiers": Scenario(
        bounds=replace(_two(STALLED), changes=1), more_than=30_000, marks=RESTORED + WOKEN
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The protocol with one guard dropped, and where that has to show."""

    rules: Rules
    bounds: Bounds = field(default=CLOCKS)


PLAIN = replace(CLOCKS, forgets=False)

MUTANTS: Mapping[str, Mutant] = {
    # the list of `fleet-protocol`
    "deadline from receipt": Mutant(rules=Rules(deadline_from_asking=False), bounds=PLAIN),
    "waiting only L": Mutant(rules=Rules(margins_waited=0)),
    "waiting only L + E": Mutant(rules=Rules(margins_waited=1)),
    "feed read before the lease row": Mutant(rules=Rules(row_before_feed=False)),
    "acknowledging before applying": Mutant(rules=Rules(applied_before_acknowledging=False), bounds=PLAIN),
    "a late grant replacing newer entries": Mutant(rules=Rules(newer_entries_kept=False), bounds=PLAIN),
    "looking up before reading the deadline": Mutant(
        rules=Rules(deadline_before_lookup=False), bounds=replace(CHECKS, drifts=False, forgets=False)
    ),
    "acknowledging past a gap": Mutant(rules=Rules(no_gaps=False), bounds=replace(TWO_RESETS, forgets=False)),
    "a grant paired with a later request's t0": Mutant(
        rules=Rules(own_nonce=False), bounds=replace(TWO_REQUESTS, drifts=False, forgets=False)
    ),
    "a node's grant outliving its own lease": Mutant(rules=Rules(grants_end_before_own_lease=False), bounds=NODE),
    "a row removed without its counter": Mutant(
        rules=Rules(removed_by_counter=False), bounds=replace(TWO_RESETS, drifts=False)
    ),
    "a node that restarts under its old id": Mutant(
        rules=Rules(nodes_restart_as_new=False), bounds=replace(NODE_ENDS, leaving=False)
    ),
    "a row deleted on leaving": Mutant(
        rules=Rules(rows_stay_on_leaving=False), bounds=replace(NODE_ENDS, deaths=False)
    ),
    "verifier records read before applying": Mutant(rules=Rules(applied_before_records=False), bounds=NODE),
    "a refused grant that clears a record": Mutant(rules=Rules(refusal_keeps_record=False), bounds=NODE),
    "a verifier recorded without a length": Mutant(rules=Rules(recorded_with_length=False), bounds=NODE),
    "no quiet start": Mutant(rules=Rules(quiet_start=False), bounds=RESTORE),
    "fail-open": Mutant(rules=Rules(fails_closed=False), bounds=PLAIN),
    "grant from a replica": Mutant(rules=Rules(grants_from_primary=False), bounds=replace(CLOCKS, replica=True)),
    "a reused instance id": Mutant(rules=Rules(ids_are_new=False), bounds=_two(CLOCKS)),
    "asynchronous commit": Mutant(rules=Rules(commits_are_synchronous=False), bounds=FAILOVER),
    "wall clock used for leases": Mutant(rules=Rules(leases_by_boot_clock=False), bounds=SUDDEN),
    "sequence-numbered feed": Mutant(
        rules=Rules(revs_commit_in_order=False), bounds=replace(TWO_RESETS, forgets=False)
    ),
    "stored expiry compared with the database's clock": Mutant(rules=Rules(expiry_not_compared=False), bounds=SUDDEN),
    "fill without F4": Mutant(rules=Rules(fills_are_checked=False), bounds=replace(FILLS, forgets=False)),
    # guards that the text has or that exploring has shown to be needed
    "wall clock used for the wait": Mutant(rules=Rules(waits_by_boot_clock=False), bounds=SUDDEN),
    "wall clock used for a node's records": Mutant(rules=Rules(records_by_boot_clock=False), bounds=NODE_SUDDEN),
    "deadline set before applying": Mutant(rules=Rules(entries_before_deadline=False), bounds=PLAIN),
    "scan before the commit": Mutant(rules=Rules(waits_from_commit=False)),
    "a counter that begins anew with its row": Mutant(rules=Rules(counters_never_return=False), bounds=REMOVAL),
    "a verifier waited for without margin": Mutant(rules=Rules(margins_recorded=0), bounds=NODE),
    "a verifier waited for with one margin": Mutant(rules=Rules(margins_recorded=1), bounds=NODE),
    "a dropped lease that clears the records": Mutant(
        rules=Rules(dropped_lease_keeps_records=False), bounds=NODE_SUDDEN
    ),
    "a node that acknowledges for itself only": Mutant(rules=Rules(verifiers_count=False), bounds=NODE),
    "a node that grants while it is behind": Mutant(rules=Rules(waits_until_caught_up=False), bounds=NODE),
    "an alarm at a late grant": Mutant(rules=Rules(alarm_by_named_rev=False), bounds=CLOCKS),
    "a restored backup that nobody notices": Mutant(rules=Rules(restore_noticed="never"), bounds=RESTORE),
    "a restored backup noticed by its rev only": Mutant(rules=Rules(restore_noticed="by rev"), bounds=RESTORE),
    "an acknowledgement without its epoch": Mutant(rules=Rules(acknowledgements_carry_epoch=False), bounds=RESTORE),
    "a reset confirmed in a later epoch": Mutant(rules=Rules(confirmed_in_own_epoch=False), bounds=RESTORE),
    "a stop's epoch is that of the scan": Mutant(rules=Rules(epoch_of_the_commit=False), bounds=STALLED),
    "a scan that takes any entry for the stop's own": Mutant(rules=Rules(entry_at_the_scan=False), bounds=STALLED),
    "a wait that ends with another entry": Mutant(rules=Rules(entry_after_the_wait=False), bounds=STALLED),
}
