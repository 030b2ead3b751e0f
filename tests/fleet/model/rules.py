"""The guards of the protocol (F1 to F13), each of which can be dropped: that makes a mutant.

`Rules()` is the protocol.  A field says what the protocol does; a mutant sets one field to something else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    # F1
    revs_commit_in_order: bool = True
    # F2
    deadline_from_asking: bool = True
    own_nonce: bool = True
    row_before_feed: bool = True
    grants_from_primary: bool = True
    entries_before_deadline: bool = True
    # F3
    fails_closed: bool = True
    deadline_before_lookup: bool = True
    # F4
    fills_are_checked: bool = True
    # F5
    margins_waited: int = 2  # of E, beyond L
    waits_from_commit: bool = True
    expiry_not_compared: bool = True
    removed_by_counter: bool = True
    counters_never_return: bool = True  # not with a new row either
    confirmed_in_own_epoch: bool = True
    epoch_of_the_commit: bool = True  # is what a stop counts in; else that of the scan
    entry_at_the_scan: bool = True  # has to be the stop's own; else whatever has its rev
    entry_after_the_wait: bool = True  # has to be the one that the scan found
    # F6
    applied_before_acknowledging: bool = True
    newer_entries_kept: bool = True
    no_gaps: bool = True
    # F7
    grants_end_before_own_lease: bool = True
    recorded_with_length: bool = True
    margins_recorded: int = 2  # of E, beyond a grant's end
    refusal_keeps_record: bool = True
    dropped_lease_keeps_records: bool = True
    verifiers_count: bool = True  # in what a node acknowledges
    applied_before_records: bool = True
    rows_stay_on_leaving: bool = True
    waits_until_caught_up: bool = True
    # roles
    ids_are_new: bool = True
    nodes_restart_as_new: bool = True
    # boot-time clocks
    leases_by_boot_clock: bool = True
    waits_by_boot_clock: bool = True
    records_by_boot_clock: bool = True
    # F9
    quiet_start: bool = True
    restore_noticed: str = "always"  # "by rev": only where it has a lower one; "never"
    acknowledgements_carry_epoch: bool = True
    alarm_by_named_rev: bool = True  # the rev that the request named; else the one applied by now
    # F13
    commits_are_synchronous: bool = True


RULES = Rules()
