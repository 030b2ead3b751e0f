"""The whole demo: start the server, seed it, tell the story, say what can be tried, and keep the traffic going."""

import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from keyturn.demo.house import DemoError, House
from keyturn.demo.narration import Narration
from keyturn.demo.operator_page import OperatorPage
from keyturn.demo.seed import Seeded, seed, write_curl_files
from keyturn.demo.story import Story
from keyturn.demo.traffic import Traffic
from keyturn.sdk.client import ApiError, Client, ServerUnreachable

Json = dict[str, Any]
_STATUS_SECONDS: Final = 1.0


def play(
    data: Path,
    *,
    port: int,
    narration: Narration,
    once: bool,
    told: Callable[[Json], None],
    status: Callable[[str], None] | None,
) -> None:
    """Play it; without `once`, until KeyboardInterrupt.

    `told` gets what was counted once the story is over; `status` a line a second on the traffic, where somebody looks.
    Raises DemoError.
    """
    page = OperatorPage()
    house = House(data, port=port, portal_origin=page.origin)
    try:
        with _broken_world(house):
            took = house.start()
            narration.step("server", f"{house.url}, SQLite in {data}", took=f"{took:.1f} s", good=True)
            _play(house, page, narration, once=once, told=told, status=status)
    finally:
        house.stop()
        page.close()


def _play(
    house: House,
    page: OperatorPage,
    narration: Narration,
    *,
    once: bool,
    told: Callable[[Json], None],
    status: Callable[[str], None] | None,
) -> None:
    with Client(house.url, key_file=_admin_key(house)) as operator:
        seeded = seed(operator)
        narration.step(
            "seeded",
            f"{len({one.account for one in seeded.sign_ins})} accounts, {len(seeded.sign_ins)} people,"
            f" {len(seeded.keys)} keys, traffic",
            good=True,
        )

        def gateway() -> Client:
            return Client(house.url, key=seeded.gateway_secret)

        customer = page.shown(
            operator, account_id=seeded.account_id, user_id=seeded.owner_id, name=seeded.sign_ins[0].email
        )
        with gateway() as verifying, Traffic(verifying, seeded.keys) as traffic, customer as operator_page:
            counted = Story(operator, gateway, seeded, narration).play()
            _invite(house, seeded, narration, operator_page=operator_page)
            told({"url": house.url, "data": str(house.data), **counted, "traffic": dict(traffic.codes)})
            if once:
                narration.line()
                narration.line("Played once: the server stops now. Without --once it goes on for you to try.")
                return
            narration.line()
            narration.line("Ctrl-C stops it.")
            _go_on(house, traffic, status)


def _go_on(house: House, traffic: Traffic, status: Callable[[str], None] | None) -> None:
    pause = threading.Event()
    while True:
        pause.wait(_STATUS_SECONDS)
        house.check_alive()
        if traffic.failure is not None:
            raise DemoError(f"the traffic stopped: {traffic.failure}")
        if status is not None:
            codes = ", ".join(f"{code} {count}" for code, count in traffic.codes.most_common())
            status(f"verified so far: {codes}")


def _invite(house: House, seeded: Seeded, narration: Narration, *, operator_page: str) -> None:
    """What can be tried now.  Each sign-in has just worked."""
    held = seeded.keys[0]
    write_curl_files(house.data, gateway_secret=seeded.gateway_secret, key=held.secret)
    narration.title(f"Open {house.url}/ and sign in")
    wide = max(len(one.email) for one in seeded.sign_ins)
    for one in seeded.sign_ins:
        with Client(house.url) as nobody:
            session = nobody.sign_in(one.email, one.password)
        narration.line(f"  {one.email.ljust(wide)}  {one.password}  {session['role']} of {one.account}")
    narration.line("  then: API Keys, Reset API Key")
    narration.line(f"  mails that it sends       {house.url}/demo/mails")
    narration.line(f"  keys in another's page    {operator_page}/")
    narration.title("A key")
    narration.line(f'  {held.secret}  "{held.program.name}", {", ".join(held.program.permissions)}')
    narration.title("Try it")
    program = _program()
    narration.line(f"  read the API     {house.url}/docs")
    narration.line(f"  metrics          {house.url}/metrics")
    narration.line("  verify that key  " + shlex.join(curl_verify(house.url, house.data)))
    commands = f"KEYTURN_URL={house.url} KEYTURN_DATA={shlex.quote(str(house.data))} {program}"
    narration.line(f"  list the keys    {commands} key list")
    narration.line(f"  reset it         {commands} key reset {held.id} --reason routine --grace 1h")


def curl_verify(url: str, data: Path) -> list[str]:
    """The words of a command that verifies the printed key; every secret is read from a file."""
    header, body = data / "gateway.header", data / "verify.json"
    sent = ("-H", f"@{header}", "-H", "Content-Type: application/json", "--data", f"@{body}")
    return ["curl", "-sS", *sent, f"{url}/v1/verify"]


def _program() -> str:
    name = Path(sys.argv[0]).name
    if name != "keyturn":
        return f"{sys.executable} -m keyturn"
    return name if shutil.which(name) == str(Path(sys.argv[0]).resolve()) else sys.argv[0]


def _admin_key(house: House) -> Path:
    if not house.admin_key_file.exists():
        raise DemoError(f"{house.admin_key_file} is gone; remove {house.data} and play again")
    return house.admin_key_file


@contextmanager
def _broken_world(house: House) -> Iterator[None]:
    """What a call says went wrong, with the server's last words where it has ended."""
    try:
        yield
    except BrokenPipeError:
        raise  # ours: whoever read our output has had enough
    except (ApiError, ServerUnreachable, OSError) as error:
        house.check_alive()
        raise DemoError(str(error)) from error
