"""F5 on the handover page: who has confirmed, live, while a verifier does not answer."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from keyturn.core.lease import LONGEST
from tests.browser import Chromium, follow
from tests.web.desk import Desk, sign_in

pytestmark = pytest.mark.needs("chromium")
HOLDING = """
import sys
from keyturn.sdk import Verifier
with Verifier(sys.argv[1], credential_file=sys.argv[2]) as verifier:
    print(verifier.wait_until_leased(60), flush=True)
    sys.stdin.read()
"""


@contextmanager
def attached(desk: Desk, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A verifier in a process of its own, with a lease."""
    credential = folder / "verifier.key"
    credential.write_text(desk.server.create(permissions=["keyturn.attach"])["secret"])
    words = [sys.executable, "-c", HOLDING, desk.url, str(credential)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.communicate("")


@pytest.fixture
def patient(desk: Desk) -> Desk:
    """With leases as long as they may be: longer than a busy machine takes for two pages."""
    assert desk.server.stop() == 0
    with sqlite3.connect(desk.server.folder / "keyturn.db") as database:
        database.execute("UPDATE authority SET lease_length = ?", (LONGEST,))
    database.close()
    desk.server.start()
    return desk


def test_f5_the_handover_shows_who_has_confirmed_while_a_lease_runs_out(
    patient: Desk, chromium: Chromium, tmp_path: Path
) -> None:
    desk = patient
    key = desk.key("fenced")
    with attached(desk, tmp_path) as verifier, chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto(f"/keys/{key['id']}/reset?reason=routine&grace=1h")
        follow(page.get_by_role("button", name="Reset API Key", exact=True))
        page.get_by_label("Password").fill("a long enough passphrase")
        follow(page.get_by_role("button", name="Continue"))
        verifier.send_signal(signal.SIGSTOP)
        follow(page.get_by_role("button", name="Make the new secret"))
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        receipt = page.get_by_role("region", name="Receipt")
        expect(receipt).to_contain_text("1 of 2 verifiers have confirmed")
        expect(receipt).to_contain_text("the last lease ends in")
        # Nobody loads the page again: its lease is over, so there is nobody left to wait for.
        expect(receipt).to_contain_text("confirmed by 2 verifiers", timeout=90_000)
        expect(receipt).not_to_contain_text("the last lease")
