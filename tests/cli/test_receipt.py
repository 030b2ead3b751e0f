"""`keyturn receipt check`: a signed note of a real stop, and everything that is none."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyturn.core.note import NoteKey, signed
from tests.cli.conftest import Keyturn
from tests.serving import Serving


@pytest.fixture
def kt(served_keyturn: Keyturn) -> Keyturn:
    return served_keyturn


def test_a_receipt_is_checked_by_the_deployments_key_and_by_no_other(
    served: Serving, kt: Keyturn, tmp_path: Path
) -> None:
    receipt = served.call(f"/v1/keys/{served.create()['id']}/revoke", {}).body["receipt"]
    key = kt.ok("fleet")["receipt_key"]
    file = tmp_path / "receipt.txt"
    file.write_text(receipt["note"])
    told = kt.ok("receipt", "check", str(file), "--key", key)
    assert (told["key"], told["confirmed"], told["rev"]) == (receipt["key"], "yes", str(receipt["rev"]))
    assert "signed by" in kt("receipt", "check", "-", "--key", key, stdin=receipt["note"]).out
    forged = receipt["note"].replace("confirmed yes", "confirmed no")
    ran = kt("receipt", "check", "-", "--key", key, stdin=forged)
    assert (ran.code, ran.out) == (1, "")
    assert "no note that" in ran.err
    private = Ed25519PrivateKey.generate()
    other = NoteKey(name="elsewhere", public_key=private.public_key().public_bytes_raw())
    assert kt("receipt", "check", str(file), "--key", other.to_text()).code == 1
    assert kt("receipt", "check", str(file), "--key", "nonsense").code == 2
    assert kt("receipt", "check", str(tmp_path / "none"), "--key", key).code == 1
    note = signed("something else\n", other, private.sign)
    ran = kt("receipt", "check", "-", "--key", other.to_text(), stdin=note)
    assert (ran.code, "is no receipt" in ran.err) == (1, True)
