"""What holds for the command line as a whole: exit codes, where it speaks, colour, and secrets."""

import json
import os
import re
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from keyturn.cli.output import Failure, shown
from keyturn.cli.receipt import exit_code
from keyturn.cli.root import COMMANDS, root
from tests.cli.conftest import Keyturn
from tests.mailbox import Mailbox
from tests.postgres import die_with_parent
from tests.serving import Serving

SECRET = re.compile(r"kt_(?:live|test)_[0-9A-Za-z]{49}")


def commands(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


EVERY = dict(commands())


def test_the_help_says_what_the_commands_say_of_themselves() -> None:
    for name, sentence in COMMANDS.items():
        command = root.get_command(click.Context(root), name)
        assert command is not None
        assert command.get_short_help_str(limit=200) == sentence, name


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from keyturn.cli.root import run; run(['--help']);"
        "heavy = {'httpx2', 'sqlalchemy', 'fastapi', 'uvicorn', 'pydantic', 'keyturn.cli.key', 'keyturn.wiring'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_explains_itself_and_takes_json(keyturn: Keyturn, path: tuple[str, ...]) -> None:
    ran = keyturn(*path, "--help")
    assert ran.code == 0
    assert "--json" in ran.out
    assert EVERY[path].get_short_help_str(limit=200).endswith(".")
    for parameter in EVERY[path].params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert parameter.help, f"{path}: {parameter.name}"


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_no_option_takes_a_secret(path: tuple[str, ...]) -> None:
    """A secret comes from a file or standard input: arguments are in the process list."""
    for parameter in EVERY[path].params:
        assert parameter.name not in {"key", "password", "secret", "token", "credential_text"}, path
        if parameter.name in {"credential", "key_file", "password_file"}:
            assert parameter.make_metavar(click.Context(EVERY[path])) == "FILE"


def test_without_a_server_the_next_step_is_named(keyturn: Keyturn, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("KEYTURN_KEY", "kt_live_nobody")
    ran = keyturn("key", "list", "--url", "http://127.0.0.1:9")
    assert ran.code == 1
    assert "keyturn serve" in ran.err
    assert ran.out == ""
    said = keyturn("key", "list", "--url", "http://127.0.0.1:9", "--json")
    assert json.loads(said.err)["code"] == "unreachable"


def test_without_a_key_it_asks_for_one_with_code_4(keyturn: Keyturn) -> None:
    ran = keyturn("key", "list")
    assert ran.code == 4
    assert "KEYTURN_KEY_FILE" in ran.err


def test_a_bad_key_is_code_4_and_is_not_repeated(served_keyturn: Keyturn, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("KEYTURN_KEY", "kt_live_marker0marker")
    ran = served_keyturn("key", "list")
    assert ran.code == 4
    assert "marker0" not in ran.err + ran.out
    problem = json.loads(served_keyturn("key", "list", "--json").err)
    assert (problem["code"], problem["status"]) == ("unauthenticated", 401)


def test_the_key_comes_from_flag_environment_file_or_this_machine_s_folder(
    served: Serving, keyturn: Keyturn, bare: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{served.port}"
    file = str(served.folder / "admin.key")
    assert keyturn("key", "list", "--url", url, "--credential", file).code == 0
    assert keyturn("key", "list", "--url", url, "--credential", "-", stdin=served.admin_key).code == 0
    bare.setenv("KEYTURN_DATA", str(served.folder))
    assert keyturn("key", "list", "--url", url).code == 0
    assert keyturn("key", "list", "--url", "https://keys.example.com").code == 4, "not to another machine"
    bare.setenv("KEYTURN_KEY", "kt_live_wrong")
    assert keyturn("key", "list", "--url", url).code == 4
    assert keyturn("key", "list", "--url", url, "--credential", file).code == 0, "the flag goes before the environment"


def test_a_key_is_not_sent_over_plain_http_to_another_machine(keyturn: Keyturn, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("KEYTURN_KEY", "kt_live_marker0marker")
    ran = keyturn("key", "list", "--url", "http://192.0.2.1:8787")
    assert ran.code == 2
    assert "use https" in ran.err
    assert "marker0" not in ran.err


def test_usage_is_code_2(keyturn: Keyturn) -> None:
    for arguments in (
        ["nonsense"],
        ["key"],
        ["key", "show"],
        ["key", "reset", "key_x"],
        ["key", "list", "--limit", "0"],
    ):
        assert keyturn(*arguments).code == 2, arguments
    assert keyturn("key", "list", "--url", "ftp://example.com").code in (2, 4)


def test_an_unknown_id_says_where_to_look(served_keyturn: Keyturn) -> None:
    ran = served_keyturn("key", "show", "key_nobodys")
    assert ran.code == 1
    assert "[not_found]" in ran.err
    assert "keyturn key list" in ran.err
    assert served_keyturn("key", "show", "../accounts").code == 1, "an id cannot name another address"
    assert served_keyturn("key", "show", "").code == 2
    assert served_keyturn("key", "create", "x", "--idempotency-key", "\n").code == 2


def test_no_colour_off_a_terminal_and_none_where_it_is_not_wanted(served_keyturn: Keyturn) -> None:
    assert "\x1b" not in served_keyturn("key", "list").out
    assert "\x1b" not in served_keyturn("key", "show", "key_x").err


@pytest.mark.parametrize(("wanted", "environment"), [(True, {}), (False, {"NO_COLOR": "1"}), (False, {"TERM": "dumb"})])
def test_colour_on_a_terminal_only_where_wanted(*, wanted: bool, environment: dict[str, str], tmp_path: Path) -> None:
    """A real pseudo-terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
    kept.pop("NO_COLOR", None)
    said = on_a_terminal(["doctor", "--data", str(tmp_path)], kept | {"TERM": "xterm"} | environment)
    assert ("\x1b[3" in said) is wanted, said


def test_on_a_terminal_the_secret_is_asked_for_unseen(served: Serving, tmp_path: Path) -> None:
    environment = os.environ | {
        "KEYTURN_URL": f"http://127.0.0.1:{served.port}",
        "KEYTURN_KEY_FILE": str(served.folder / "admin.key"),
    }
    secret = served.create()["secret"]
    said = on_a_terminal(["verify"], environment, typed=secret + "\n")
    assert "valid" in said
    assert secret not in said


def test_init_makes_everything_once(keyturn: Keyturn, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = keyturn.ok("init", "--data", str(data))
    assert first["founded"]
    file = data / "admin.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    key = file.read_text()
    assert SECRET.match(key)
    again = keyturn("init", "--data", str(data))
    assert again.code == 0
    assert "there already" in again.out
    assert not SECRET.search(again.out + again.err)
    assert file.read_text() == key


def test_init_tells_off_a_terminal_only_where_the_key_lies(keyturn: Keyturn, tmp_path: Path) -> None:
    ran = keyturn("init", "--data", str(tmp_path / "data"))
    assert str(tmp_path / "data" / "admin.key") in ran.out
    assert not SECRET.search(ran.out + ran.err)


def test_init_on_a_terminal_prints_the_key(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
    said = on_a_terminal(["init", "--data", str(tmp_path / "data")], environment)
    assert (tmp_path / "data" / "admin.key").read_text().strip() in said


def test_one_more_administrator_key_spares_the_one_that_is_there(keyturn: Keyturn, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keyturn.ok("init", "--data", str(data))
    before = (data / "admin.key").read_text()
    more = keyturn.ok("init", "--data", str(data), "--new-admin-key")
    assert (data / "admin.key").read_text() == before
    assert Path(more["admin_key_file"]).read_text() != before
    assert stat.S_IMODE(Path(more["admin_key_file"]).stat().st_mode) == 0o600
    (data / "admin.key").unlink()
    assert "missing" in keyturn("init", "--data", str(data)).out
    keyturn.ok("init", "--data", str(data), "--new-admin-key")
    server = Serving(folder=data).start()
    try:
        assert server.call("/v1/self").status == 200
        assert server.call("/v1/self", key=before.strip()).status == 200
    finally:
        server.kill()


def test_migrate_says_what_it_did(keyturn: Keyturn, empty_database_url: str, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("KEYTURN_DATABASE_URL", empty_database_url)
    first = keyturn.ok("migrate")
    assert first["before"] is None
    assert first["after"]
    assert keyturn.ok("migrate") == {**first, "before": first["after"]}
    assert "up to date" in keyturn("migrate").out


def test_a_setting_that_cannot_be_used_is_code_2(keyturn: Keyturn) -> None:
    ran = keyturn("doctor", "--port", "70000")
    assert ran.code == 2
    assert "port" in ran.err
    assert keyturn("serve", "--tls-cert", "x.pem").code == 2


def test_serve_tells_where_it_listens_as_one_line_of_json(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keyturn", "serve", "--json", "--port", "0", "--data", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["pid"] == process.pid
    assert SECRET.match(Path(told["admin_key_file"]).read_text())
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")


def test_serve_on_a_taken_port_says_so(served: Serving, keyturn: Keyturn, tmp_path: Path) -> None:
    ran = keyturn("serve", "--port", str(served.port), "--data", str(tmp_path / "data"))
    assert ran.code == 1
    assert "cannot listen" in ran.err
    assert "--port" in ran.err


def test_doctor_fails_where_something_is_wrong(keyturn: Keyturn, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keyturn.ok("init", "--data", str(data))
    stories: dict[str, Callable[[], object]] = {
        "administrator key": lambda: (data / "admin.key").chmod(0o644),
        "pepper": lambda: (data / "peppers" / "p0001").write_text("nonsense"),
    }
    for check, breaks in stories.items():
        assert {one["result"] for one in findings(keyturn, data) if one["check"] == check} == {"ok"}
        breaks()
        assert {one["result"] for one in findings(keyturn, data) if one["check"] == check} == {"fail"}
    assert keyturn("doctor", "--data", str(data)).code == 1


def test_doctor_tries_the_mail_server(keyturn: Keyturn, bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keyturn.ok("init", "--data", str(data))

    def found(check: str) -> str:
        return next(one["result"] for one in findings(keyturn, data) if one["check"] == check)

    assert (found("mail"), found("links"), found("outbox")) == ("warn", "ok", "ok")
    with Mailbox() as box:
        bare.setenv("KEYTURN_MAIL", f"smtp://127.0.0.1:{box.port}")
        assert found("mail") == "ok"
        password = tmp_path / "password"
        password.write_text("x")
        password.chmod(0o644)
        bare.setenv("KEYTURN_MAIL_PASSWORD_FILE", str(password))
        assert found("mail") == "fail"
        box.stop()
    password.chmod(0o600)
    assert found("mail") == "fail"
    bare.setenv("KEYTURN_HOST", "0.0.0.0")
    assert found("links") == "warn"
    bare.setenv("KEYTURN_BASE_URL", "https://keys.example.com")
    assert found("links") == "ok"


def test_doctor_says_when_something_waits_too_long_to_be_told(keyturn: Keyturn, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keyturn.ok("init", "--data", str(data))
    with sqlite3.connect(data / "keyturn.db") as database:
        text: dict[str, str | int] = dict.fromkeys(("user_id", "account_id", "link_id", "leased_by", "said"), "")
        row = text | {"id": "dlv_1", "means": "mail", "to": "a@example.com", "state": "waiting"}
        row |= {"made_at": 0, "due_at": 0, "in_order": 1, "attempts": 9}
        names, places = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
        database.execute(f"INSERT INTO deliveries ({names}) VALUES ({places})", row)
    database.close()
    (outbox,) = [one for one in findings(keyturn, data) if one["check"] == "outbox"]
    assert outbox["result"] == "warn"
    assert "1 wait to be told, the oldest since 1970" in outbox["found"]


def test_doctor_never_tells_a_password(keyturn: Keyturn, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("KEYTURN_DATABASE_URL", "postgresql://me:marker0@127.0.0.1:9/nothing?sslpassword=marker1")
    ran = keyturn("doctor")
    assert ran.code == 1
    assert "marker" not in ran.out + ran.err


def test_doctor_changes_nothing(keyturn: Keyturn, tmp_path: Path) -> None:
    assert keyturn("doctor", "--data", str(tmp_path / "nowhere")).code == 0
    assert not (tmp_path / "nowhere").exists()


def test_a_reader_who_has_had_enough_is_no_accident(served: Serving) -> None:
    environment = os.environ | {
        "KEYTURN_URL": f"http://127.0.0.1:{served.port}",
        "KEYTURN_KEY_FILE": str(served.folder / "admin.key"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "keyturn", "policy", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait(30)
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.parametrize(
    ("words", "closed", "says"),
    [
        (["key", "list"], "", "the answer could not be written to standard output: No space left on device"),
        (["key", "create", "full"], "", "the secret was made but could not be written to standard output"),
        (["key", "create", "shut"], ">&-", "standard output is closed"),
        (["key", "list"], ">&-", "standard output is closed"),
    ],
)
def test_an_answer_that_cannot_be_written_is_a_sentence_and_no_secret_is_made_for_nobody(
    served: Serving, words: list[str], closed: str, says: str
) -> None:
    environment = os.environ | {
        "KEYTURN_URL": f"http://127.0.0.1:{served.port}",
        "KEYTURN_KEY_FILE": str(served.folder / "admin.key"),
    }
    line = shlex.join([sys.executable, "-m", "keyturn", *words]) + (closed or " >/dev/full")
    ended = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    names = [one["name"] for one in served.call("/v1/keys").body["items"]]
    assert "shut" not in names
    assert ("reset the key" in ended.stderr) == ("full" in words)


def test_a_failure_without_anywhere_to_tell_it_is_still_told_by_the_exit_code(bare: pytest.MonkeyPatch) -> None:
    bare.delenv("KEYTURN_KEY", raising=False)
    line = shlex.join([sys.executable, "-m", "keyturn", "key", "list", "--credential", "/nowhere"]) + " 2>&-"
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 1


def test_shown_escapes_what_moves_a_terminal() -> None:
    assert shown("a\x1b[31mb\n\u202e") == "a\\u001b[31mb\\u000a\\u202e"
    assert [shown(one) for one in (None, "", [], True, False, 0, ["a", "b"])] == [
        "-",
        "-",
        "-",
        "yes",
        "no",
        "0",
        "a, b",
    ]


def test_a_failure_is_a_sentence_and_a_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    Failure("it broke", hint="mend it").show()
    assert capsys.readouterr().err == "keyturn: it broke\n         mend it\n"


def findings(keyturn: Keyturn, data: Path) -> list[dict[str, str]]:
    ran = keyturn("doctor", "--data", str(data), "--port", "0", "--json")
    checks: list[dict[str, str]] = ran.json["checks"]
    return checks


def on_a_terminal(arguments: list[str], environment: dict[str, str], *, typed: str = "") -> str:
    """What the command shows on a pseudo-terminal."""
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "keyturn", *arguments]
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    said = b""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the last writer has left
            break
        if not part:
            break
        said += part
        if typed and said.rstrip().endswith(b":"):
            os.write(ours, typed.encode())
            typed = ""
    process.wait(30)
    os.close(ours)
    return said.decode()


def test_the_exit_code_follows_from_the_answer() -> None:
    confirmed, unconfirmed = {"confirmed": True}, {"confirmed": False}
    stories: dict[str, tuple[dict[str, object], int]] = {
        "done": ({"receipt": confirmed, "missing": [], "new_starts_at": "2020-01-01T00:00:00Z"}, 0),
        "nothing was stopped": ({"receipt": None}, 0),
        "a proof is missing": ({"receipt": None, "missing": ["password"]}, 3),
        "a cool-down runs": ({"receipt": confirmed, "new_starts_at": "9000-01-01T00:00:00Z"}, 3),
        "not confirmed everywhere": ({"receipt": unconfirmed}, 5),
        "nor that, in a cool-down": ({"receipt": unconfirmed, "new_starts_at": "9000-01-01T00:00:00Z"}, 5),
    }
    for story, (answer, code) in stories.items():
        assert exit_code(answer) == code, story
