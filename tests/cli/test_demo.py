"""`keyturn demo`, on a real server: what it claims holds, it can be played again, and it leaves in order."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.postgres import die_with_parent
from tests.web.person import Person

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}


@contextmanager
def demo(folder: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-u", "-m", "keyturn", "demo", "--port", "0", *flags]
    process = subprocess.Popen(
        words,
        cwd=folder,
        # A stray setting of ours must not reach the demo's server.
        env=CLEAN | {"KEYTURN_DATABASE_URL": "sqlite:////nowhere/at/all.db", "KEYTURN_BRAND": "xx"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
    )
    with process:
        yield process
        process.kill()


def played(folder: Path, *flags: str) -> tuple[dict[str, Any], str]:
    with demo(folder, "--once", "--json", *flags) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out), err


def test_what_it_claims_holds_and_it_goes_on_until_ctrl_c_when_played_again(tmp_path: Path) -> None:
    counted, told = played(tmp_path)
    leaked, routine = counted["leaked"], counted["routine"]
    assert leaked["accepted_before"] > 0
    assert leaked["sent_after"] > 0
    assert leaked["accepted_after"] == 0
    assert leaked["receipt"]["confirmed"] is True
    assert leaked["old_code"] == routine["old_code"] == "replaced"
    assert routine["accepted_after"] == 0
    assert routine["used_by"]["user_agent"] == "nightly-report/1.4"
    assert counted["traffic"]["valid"] > 0
    assert "0 accepted" in told
    assert not answers(counted["url"]), "the server is gone"
    with demo(tmp_path) as process:
        told = read_until(process, "Ctrl-C")
        url = re.findall(r"http://127\.0\.0\.1:\d+", told)[0]
        assert answers(url)
        opens_what_is_printed(told)
        tries_what_is_printed(told, tmp_path)
        leaves_in_order(process, signal.SIGINT)
    assert not answers(url), "the server is gone"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_it_leaves_in_order(tmp_path: Path, how: signal.Signals) -> None:
    with demo(tmp_path) as process:
        told = read_until(process, "in a loop")
        leaves_in_order(process, how)
    assert not answers(re.findall(r"http://127\.0\.0\.1:\d+", told)[0]), "the server is gone"


def read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if word in line:
            break
    return told


def leaves_in_order(process: subprocess.Popen[str], how: signal.Signals) -> None:
    process.send_signal(how)
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err + rest


def opens_what_is_printed(told: str) -> None:
    """The dashboard, the mails and the operator's page answer as pages, and every sign-in works on the first."""
    front = re.search(r"Open (\S+) and sign in", told)
    pages = re.findall(r"^  (?:mails that it sends|keys in another's page) +(\S+)$", told, re.MULTILINE)
    assert front is not None
    assert len(pages) == 2
    for page in (front[1], *pages):
        answer = httpx2.get(page)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), page
    for email, password in re.findall(r"^  (\S+@\S+) +(\S+)  \w+ of ", told, re.MULTILINE):
        person = Person(front[1], address="127.0.0.1")
        assert "Reset API Key" in person.sign_in(email, password).text
        person.client.close()


def tries_what_is_printed(told: str, folder: Path) -> None:
    """Each printed command works as it stands, and holds no secret."""
    lines = [line.split("  ", 2)[-1].strip() for line in told.splitlines() if "curl " in line or "KEYTURN_URL=" in line]
    assert len(lines) == 3
    for line in lines:
        assert not re.search(r"kt_live_[0-9A-Za-z]{49}", line)
        ran = subprocess.run(line, shell=True, cwd=folder, env=CLEAN, capture_output=True, text=True, check=False)  # noqa: S602  # as a reader would
        assert ran.returncode == 0, (line, ran)
    verified = subprocess.run(lines[0], shell=True, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S602  # as above
    assert json.loads(verified.stdout)["valid"] is True


def test_a_taken_port_is_said_clearly(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        demo(tmp_path, "--once", "--port", str(taken.getsockname()[1])) as process,
    ):
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "is taken" in err
    assert "--port 0" in err
    assert out == ""
    assert not (tmp_path / "demo-data").exists()


def test_it_keeps_off_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keyturn.db").write_text("somebody's")
    with demo(tmp_path, "--once", "--data", "data") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "not the demo's" in err
    assert (tmp_path / "data" / "keyturn.db").read_text() == "somebody's"


def answers(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1).close()
    except OSError:
        return False
    return True
