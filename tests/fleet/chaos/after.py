"""What has to hold when the harm is over."""

from collections import Counter

from keyturn.verify.decision import REPLACED, VALID
from tests.fleet.chaos.fleet import Fleet, eventually
from tests.fleet.chaos.owner import Done


def all_is_well_again(fleet: Fleet) -> None:
    """Every verifier accepts a new key, and refuses its old secret once it is reset."""
    assert all(verifier.alive for verifier in fleet.verifiers)
    for node in fleet.nodes:
        eventually(lambda node=node: node.serving.call("/readyz").status == 200, "the node is ready")  # type: ignore[misc]  # bound now
    key = fleet.key(fleet.nodes[0])
    for verifier in fleet.verifiers:
        fleet.await_answers(verifier, key, version=1, answer=VALID)
    stop, answer = fleet.reset(key, fleet.nodes[1])
    assert answer.body["receipt"]["confirmed"]
    for verifier in fleet.verifiers:
        fleet.await_answers(verifier, key, version=1, answer=REPLACED, after=stop.confirmed)
        fleet.await_answers(verifier, key, version=2, answer=VALID)


def nothing_was_lost(fleet: Fleet, done: Done) -> None:
    """Every reset that was answered is in the audit log, once."""
    minted = Counter(row[0] for row in fleet.sql("SELECT subject_id FROM audit WHERE action = 'reset.minted'"))
    assert done.resets
    assert {minted[reset_id] for reset_id, _ in done.resets} == {1}
